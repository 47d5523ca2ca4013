import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { generatePrivateKey, PrivateKey } from './private-key.ts';

test('a private key shows itself to reveal alone', async () => {
  const key = await generatePrivateKey();
  assert.match(key.reveal(), /^-----BEGIN PRIVATE KEY-----/);
  for (const shown of [
    String(key),
    JSON.stringify({ key }),
    inspect({ key }, { showHidden: true, depth: 5 }),
    inspect([key]),
  ]) {
    assert.ok(!shown.includes('BEGIN'), shown);
    assert.ok(shown.includes('[private key]'));
  }
  assert.deepEqual(Object.keys(key), []);
});

test('its public half is a P-256 SubjectPublicKeyInfo', async () => {
  const key = await generatePrivateKey();
  assert.equal(key.keyObject().asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.equal(key.publicKeyDer().length, 91);
});

test('what is not a key is refused when it is used', () => {
  assert.throws(() => new PrivateKey('hello').keyObject());
});
