/** The Host that servers outside of the mesh see of applications that call an upstream at its own address. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Upstream } from '../../src/model/host.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { call, httpApplication } from '../translate/applications.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host } from '../translate/mesh-literals.ts';

const RESOURCES = (server: number): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api }
spec:
  hosts: [api.example.com]
  resolution: STATIC
  ports:
    - { number: 80, name: http, protocol: HTTP, targetPort: ${server} }
    - { number: 8080, name: other, protocol: HTTP, targetPort: ${server} }
    - { number: 8081, name: detected, targetPort: ${server} }
  endpoints: [{ address: 127.0.0.1 }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: api }
spec:
  hosts: [api.example.com]
  http:
    - match: [{ uri: { prefix: /rewritten } }]
      rewrite: { authority: ruled.example.com }
      route: [{ destination: { host: api.example.com, port: { number: 80 } } }]
    - match: [{ uri: { prefix: /set } }]
      route:
        - destination: { host: api.example.com, port: { number: 80 } }
          headers: { request: { set: { host: set.example.com } } }
    - route: [{ destination: { host: api.example.com, port: { number: 80 } } }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: inside }
spec:
  hosts: [inside.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: ${server} }]
  endpoints: [{ address: 127.0.0.1 }]
`;

test('the Host at the address of an upstream', async (t) => {
  const [server = 0, http = 0, other = 0, detected = 0, inside = 0] = await freePorts(5);
  const seen = await httpApplication(t, server);
  const mesh = buildMesh(undefined, {
    config: DEFAULT_MESH_CONFIG,
    resources: parseResources([{ file: 'r.yaml', text: RESOURCES(server) }]),
    catalogue: undefined,
    localServices: [],
  });
  assert.deepEqual(mesh.diagnostics, []);
  const upstream = (serviceHost: string, servicePort: number, port: number): Upstream => ({
    serviceHost,
    servicePort,
    listen: { address: '127.0.0.1', port },
  });
  const path = join(await tempDir(t), 'api.sock');
  const upstreams = [
    upstream('api.example.com', 80, http),
    upstream('api.example.com', 8080, other),
    upstream('api.example.com', 8081, detected),
    upstream('inside.example.com', 80, inside),
    { serviceHost: 'api.example.com', servicePort: 80, listen: { path } },
  ];
  await startEnvoy(t, mesh, host({ callerIdentity: undefined, upstreams }), []);
  const hostOf = async (port: number, written?: string, url = '/'): Promise<string | undefined> => {
    const answer = await call(port, { path: url, ...(written !== undefined && { headers: { host: written } }) });
    assert.equal(answer.status, 200, answer.body);
    return seen.at(-1)?.headers.host;
  };

  await t.test('is the name of the server, with its port where a client of it writes one', async () => {
    assert.equal(await hostOf(http), 'api.example.com');
    assert.equal(await hostOf(http, `localhost:${http}`), 'api.example.com');
    assert.equal(await hostOf(http, 'LOCALHOST'), 'api.example.com');
    assert.equal(await hostOf(http, '127.0.0.53'), 'api.example.com');
    assert.equal(await hostOf(http, `[::1]:${http}`), 'api.example.com');
    assert.equal(await hostOf(other), 'api.example.com:8080');
    assert.equal(await hostOf(detected), 'api.example.com:8081');
  });

  await t.test('the one before is told as after every rewrite of Envoy', async () => {
    await hostOf(http, `127.0.0.1:${http}`);
    assert.equal(seen.at(-1)?.headers['x-envoy-original-host'], `127.0.0.1:${http}`);
    assert.equal(seen.at(-1)?.headers['x-forwarded-host'], undefined);
  });

  await t.test('at a socket too', async () => {
    await new Promise<void>((resolve, reject) => {
      const outgoing = request({ socketPath: path, host: 'localhost', path: '/' }, (incoming) => {
        incoming.resume();
        incoming.on('end', resolve);
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
    assert.equal(seen.at(-1)?.headers.host, 'api.example.com');
  });

  await t.test('is what a rule says', async () => {
    assert.equal(await hostOf(http, undefined, '/rewritten'), 'ruled.example.com');
    assert.equal(await hostOf(http, undefined, '/set'), 'set.example.com');
  });

  await t.test('is what the application writes, if that is no address of this host', async () => {
    assert.equal(await hostOf(http, 'tenant.api.example.com'), 'tenant.api.example.com');
    assert.equal(await hostOf(other, 'api.example.com'), 'api.example.com');
    assert.equal(await hostOf(http, 'localhost.example.com'), 'localhost.example.com');
  });

  await t.test('is left alone for services of the mesh', async () => {
    assert.equal(await hostOf(inside), `127.0.0.1:${inside}`);
  });
});
