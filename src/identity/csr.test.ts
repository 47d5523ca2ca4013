import 'reflect-metadata';
import assert from 'node:assert/strict';
import { generateKeyPairSync, webcrypto } from 'node:crypto';
import { test } from 'node:test';
import { Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { createCsr } from './csr.ts';
import { checkCsr } from './csr-check.ts';
import { generatePrivateKey, PrivateKey } from './private-key.ts';

test('a CSR is what another parser takes for one', async () => {
  const key = await generatePrivateKey();
  const request = new Pkcs10CertificateRequest(createCsr(key));
  assert.equal(request.subject, '');
  assert.equal(request.attributes.length, 0);
  assert.ok(await request.verify());
  assert.deepEqual(Buffer.from(request.publicKey.rawData), key.publicKeyDer());
});

test('checkCsr gives back the key of our own CSRs', async () => {
  const key = await generatePrivateKey();
  assert.deepEqual(await checkCsr(createCsr(key)), { publicKey: key.publicKeyDer() });
});

async function rsaCsr(bits: number): Promise<string> {
  const algorithm = {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: bits,
    publicExponent: new Uint8Array([1, 0, 1]),
  };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const csr = await Pkcs10CertificateRequestGenerator.create({ keys, name: 'CN=x', signingAlgorithm: algorithm });
  return csr.toString('pem');
}

test('checkCsr takes RSA of 2048 bits, as of Istio agents, and not less', async () => {
  assert.ok('publicKey' in (await checkCsr(await rsaCsr(2048))));
  assert.deepEqual(await checkCsr(await rsaCsr(1024)), {
    problem: "the CSR's key is rsa 1024: use ECDSA P-256, P-384 or P-521, or RSA of 2048 to 8192 bits",
  });
});

test('checkCsr refuses odd curves, and a key that did not sign', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const odd = new PrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  assert.match(JSON.stringify(await checkCsr(createCsr(odd))), /secp256k1: use ECDSA P-256/);
  const [mine, other] = [await generatePrivateKey(), await generatePrivateKey()];
  const der = Buffer.from(createCsr(mine).split('\n').slice(1, -2).join(''), 'base64');
  const at = der.indexOf(mine.publicKeyDer());
  other.publicKeyDer().copy(der, at);
  const swapped = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  assert.deepEqual(await checkCsr(swapped), { problem: "the CSR's signature does not verify with its own key" });
});

test('checkCsr never throws, whatever comes', async () => {
  const good = createCsr(await generatePrivateKey());
  for (let length = 0; length < good.length; length += 17) {
    assert.ok('problem' in (await checkCsr(good.slice(0, length))));
  }
});
