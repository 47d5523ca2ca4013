/** `trysail explain` and `analyze` asked of a running agent. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { loopbackNet } from '../e2e/two-hosts.ts';
import { startHost } from '../support/local-mesh.ts';
import { freePorts } from '../support/ports.ts';
import { trysail } from '../support/run-trysail.ts';
import { tempDir } from '../support/temp-dir.ts';

const RESOURCES = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: reviews }
spec:
  hosts: [reviews.default.mesh]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: 9080, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, labels: { version: v1 } }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
  - match: [{ sourceLabels: { version: v7 } }]
    name: for-v7
    route: [{ destination: { host: reviews, subset: v1 } }]
  - route: [{ destination: { host: reviews, subset: v2 } }]
`;

test('the agent explains by what it works with, and finds what is wrong with it', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  await writeFile(join(resources, 'reviews.yaml'), RESOURCES);
  const address = `${loopbackNet()}.1`;
  const [port = 0, listen = 0] = await freePorts(2, address);
  const host = await startHost(t, {
    name: 'web-1',
    address,
    dir,
    resources,
    services: [{ name: 'web', version: 'v7', port, protocol: 'HTTP', application: `127.0.0.1:${port}` }],
    upstreams: [{ service: 'reviews', listen: `127.0.0.1:${listen}` }],
  });
  await host.ready();
  const socket = ['--socket', join(host.runDir, 'api.sock')];
  const asked = await trysail('explain', '--to', 'http://reviews:9080/', '-o', 'json', ...socket);
  assert.equal(asked.code, EXIT.ok, asked.err);
  const { route, subset, request } = JSON.parse(asked.out) as Readonly<Record<string, unknown>> & {
    readonly request: { readonly from: string };
  };
  assert.deepEqual([route, subset, request.from], ['for-v7', 'v1', 'web.default']);
  const stranger = await trysail('explain', '--from', 'nobody', '--to', 'http://reviews:9080/', ...socket);
  assert.equal(stranger.code, EXIT.usage);
  assert.match(stranger.err, /nobody\.default does not call from this host\.\n {2}Name one of: web\.default/);
  const wrong = await trysail('explain', '--to', 'ftp://reviews', ...socket);
  assert.equal(wrong.code, EXIT.usage);

  const found = await trysail('analyze', '-o', 'json', ...socket);
  assert.equal(found.code, EXIT.invalidConfiguration);
  const { diagnostics } = JSON.parse(found.out) as { readonly diagnostics: readonly { readonly code: string }[] };
  assert.deepEqual(
    diagnostics.map(({ code }) => code),
    ['IST0173'],
  );
});
