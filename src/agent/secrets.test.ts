import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import { SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { PrivateKey } from '../identity/private-key.ts';
import type { WorkloadCertificate } from '../identity/workload-certificate.ts';
import { workloadSpiffeId } from '../model/spiffe-id.ts';
import { Secrets } from './secrets.ts';

function certificate(account: string, serial = '01'): WorkloadCertificate {
  const spiffeId = workloadSpiffeId({ trustDomain: 'cluster.local', namespace: 'default', serviceAccount: account });
  assert.ok(spiffeId !== undefined);
  return {
    spiffeId,
    certificateChainPem: `chain of ${account} ${serial}`,
    privateKey: new PrivateKey(`key of ${account} ${serial}`),
    notBeforeMs: 0,
    notAfterMs: 1,
    serial,
  };
}

test('a secret for each identity and one for the roots, with what Envoy needs in them', () => {
  const secrets = new Secrets();
  assert.equal(secrets.resources.size, 0);
  const [web, audit] = [certificate('web'), certificate('audit')];
  secrets.replace({ certificates: [web, audit], rootsPem: 'roots' });
  assert.deepEqual([...secrets.resources.keys()], [web.spiffeId, audit.spiffeId, 'ROOTCA']);
  const decode = (name: string) =>
    fromBinary(SecretSchema, secrets.resources.get(name)?.value ?? new Uint8Array()).type;
  const { value: pair } = decode(web.spiffeId);
  assert.ok(pair?.$typeName === 'envoy.extensions.transport_sockets.tls.v3.TlsCertificate');
  assert.equal(pair.certificateChain?.specifier.value, 'chain of web 01');
  assert.equal(pair.privateKey?.specifier.value, 'key of web 01');
  const { value: roots } = decode('ROOTCA');
  assert.ok(roots?.$typeName === 'envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext');
  assert.equal(roots.trustedCa?.specifier.value, 'roots');
});

test('what did not change keeps its object; what is gone goes', () => {
  const secrets = new Secrets();
  const [web, audit] = [certificate('web'), certificate('audit')];
  secrets.replace({ certificates: [web, audit], rootsPem: 'roots' });
  const before = secrets.resources;
  secrets.replace({ certificates: [certificate('web', '02'), audit], rootsPem: 'roots' });
  assert.notEqual(secrets.resources.get(web.spiffeId), before.get(web.spiffeId));
  assert.equal(secrets.resources.get(audit.spiffeId), before.get(audit.spiffeId));
  assert.equal(secrets.resources.get('ROOTCA'), before.get('ROOTCA'));
  secrets.replace({ certificates: [audit], rootsPem: 'roots and more' });
  assert.deepEqual([...secrets.resources.keys()], [audit.spiffeId, 'ROOTCA']);
  assert.notEqual(secrets.resources.get('ROOTCA'), before.get('ROOTCA'));
});

test('no roots, no secret of them: an empty one would trust nobody and be refused', () => {
  const secrets = new Secrets();
  secrets.replace({ certificates: [], rootsPem: '' });
  assert.equal(secrets.resources.size, 0);
});

test('nothing that prints shows the key', () => {
  const secrets = new Secrets();
  secrets.replace({ certificates: [certificate('web')], rootsPem: 'roots' });
  for (const text of [inspect(secrets, { depth: 9, showHidden: true }), JSON.stringify(secrets)])
    assert.doesNotMatch(text, /key of web/);
});
