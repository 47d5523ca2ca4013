/** `caCrl` on a real Envoy: who shows a certificate that is on the list is refused, who shows another one is not. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { call } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host, upstream } from '../translate/mesh-literals.ts';
import { meshOf } from './gateway-host.ts';
import { tlsServer } from './tls-servers.ts';

const NAME = 'api.example.com';

async function statusesOf(t: TestContext, withList: boolean): Promise<Readonly<Record<string, number>>> {
  const authority = await testAuthority();
  const dir = await tempDir(t);
  const [roots, list] = [join(dir, 'roots.pem'), join(dir, 'list.pem')];
  const certificates = { revoked: await authority.issue(NAME), good: await authority.issue(NAME) };
  await writeFile(roots, authority.rootPem);
  await writeFile(list, await authority.revoke(certificates.revoked));
  const names = ['revoked', 'good'] as const;
  const ports = await freePorts(names.length);
  const resources = await Promise.all(
    names.map(async (name) => {
      const { certificateChainPem: cert, privateKeyPem: key } = certificates[name];
      const https = await tlsServer(t, { cert, key });
      const tls = { mode: 'SIMPLE', sni: NAME, subjectAltNames: [NAME], caCertificates: roots };
      const endpoints = [{ address: '127.0.0.1', ports: { http: https } }];
      const external = { location: 'MESH_EXTERNAL', resolution: 'STATIC', endpoints };
      const port = [{ number: 80, name: 'http', protocol: 'HTTP' }];
      const trafficPolicy = { tls: { ...tls, ...(withList && { caCrl: list }) } };
      return [
        { kind: 'ServiceEntry', name, spec: { hosts: [`${name}.default.mesh`], ports: port, ...external } },
        { kind: 'DestinationRule', name, spec: { host: name, trafficPolicy } },
      ];
    }),
  );
  const yaml = resources
    .flat()
    .map(({ kind, name, spec }) => stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name }, spec }))
    .join('---\n');
  const upstreams = names.map((name, i) => upstream(name, ports[i] ?? 0));
  await startEnvoy(t, meshOf(yaml), host({ upstreams, callerIdentity: undefined }), []);
  const statuses: Record<string, number> = {};
  for (const [i, name] of names.entries()) statuses[name] = (await call(ports[i] ?? 0)).status;
  return statuses;
}

test('a server whose certificate is revoked is refused, another one of the same CA is not', async (t) => {
  assert.deepEqual(await statusesOf(t, true), { revoked: 503, good: 200 });
});

test('without the list both are believed', async (t) => {
  assert.deepEqual(await statusesOf(t, false), { revoked: 200, good: 200 });
});
