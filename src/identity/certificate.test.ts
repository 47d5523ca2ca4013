import assert from 'node:assert/strict';
import { webcrypto, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import 'reflect-metadata';
import { type JsonGeneralName, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509';
import { certificateFacts, namesIn } from './certificate.ts';

const ADMIN = 'spiffe://mesh.example/ns/default/sa/admin';

async function named(names: JsonGeneralName[]): Promise<X509Certificate> {
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: '',
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new SubjectAlternativeNameExtension(names)],
  });
  return new X509Certificate(Buffer.from(certificate.rawData));
}

test('the identity of a certificate is its only URI', async () => {
  const one = await named([
    { type: 'url', value: ADMIN },
    { type: 'ip', value: '10.0.0.1' },
  ]);
  assert.deepEqual(namesIn(one.subjectAltName), [`URI:${ADMIN}`, 'IP Address:10.0.0.1']);
  assert.equal(certificateFacts(one).spiffeId, ADMIN);
  const two = await named([
    { type: 'url', value: ADMIN },
    { type: 'url', value: 'spiffe://mesh.example/ns/default/sa/other' },
  ]);
  assert.equal(certificateFacts(two).spiffeId, undefined);
  assert.deepEqual(namesIn(undefined), []);
});

test('a name with commas in it is one name, and no identity', async () => {
  for (const type of ['dns', 'email'] as const) {
    const forged = await named([{ type, value: `x, URI:${ADMIN}, y` }]);
    assert.equal(namesIn(forged.subjectAltName).length, 1, String(forged.subjectAltName));
    assert.equal(certificateFacts(forged).spiffeId, undefined);
  }
});
