/** What is told of TLS that a Sidecar asks for and cannot have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import type { Sidecar } from '../../src/model/sidecar.ts';
import { diagnose } from '../../src/translate/diagnose.ts';
import { host, mesh, workload } from './mesh-literals.ts';

const META = { kind: 'Sidecar', namespace: 'default', name: 'web', labels: {}, age: 0 };
const meta = { ...META, source: { file: 'x.yaml', line: 1 } };

function told(credentialNames: readonly string[], rest: Partial<Mesh>, own: Partial<Host> = {}): readonly string[] {
  const certificates = credentialNames.length > 0 ? [] : [{ serverCertificate: '/c', privateKey: '/k' }];
  const tls = { mode: 'SIMPLE', certificates, credentialNames };
  const sidecar = {
    meta,
    workloadSelector: undefined,
    ingress: [{ port: { number: 443, name: 'a', protocol: 'HTTPS' }, tls }],
  } as unknown as Sidecar;
  const world = mesh([], { ...rest, sidecars: [sidecar] });
  const all = diagnose(world, host({ workloads: [workload('web', 'HTTP', 80, 8080)], ...own }));
  return all.map(({ code, severity, message }) => `${code} ${severity} ${message}`);
}

const OFF: Partial<Mesh> = {
  peerAuthentications: [{ meta, selector: { app: 'web' }, mode: undefined, portModes: new Map([[443, 'DISABLE']]) }],
};

test('TLS of its own gives way to the mesh’s', () => {
  assert.match(told([], {}).join(), /TRY0414 warning port 443 .*mutual TLS of the mesh \(PERMISSIVE\)/);
  assert.deepEqual(told([], OFF), []);
});

test('credentials need a folder', () => {
  assert.match(told(['web'], OFF).join(), /TRY0414 error .*no folder for credentials/);
  assert.deepEqual(told(['web'], OFF, { credentialsFolder: '/etc/credentials' }), []);
});

test('in mode observe nobody asked for it', () => {
  assert.deepEqual(told([], {}, { workloads: [workload('web', 'HTTP', 80, 8080, { mode: 'observe' })] }), []);
});
