/** Warm-up on a real Envoy: an endpoint that has just come gets less than its share, and later all of it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import type { Mesh } from '../../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { startAgentlet } from '../translate/agentlet.ts';
import { call, httpApplication } from '../translate/applications.ts';
import { host } from '../translate/mesh-literals.ts';

const WARM_UP_S = 8;
const REQUESTS = 60;
/** In which they have to be answered to tell of the beginning. */
const BEGINNING_MS = 2000;

function meshOf(ports: readonly number[], previous: Mesh | undefined): Mesh {
  const documents = [
    {
      kind: 'ServiceEntry',
      spec: {
        hosts: ['reviews.default.mesh'],
        location: 'MESH_INTERNAL',
        resolution: 'STATIC',
        ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
        endpoints: ports.map((http) => ({ address: '127.0.0.1', ports: { http } })),
      },
    },
    {
      kind: 'DestinationRule',
      spec: {
        host: 'reviews',
        trafficPolicy: { loadBalancer: { simple: 'ROUND_ROBIN', warmup: { duration: `${WARM_UP_S}s` } } },
      },
    },
  ];
  const text = documents
    .map((one) => stringify({ apiVersion: 'networking.istio.io/v1', metadata: { name: 'reviews' }, ...one }))
    .join('---\n');
  const resources = parseResources([{ file: 'in.yaml', text }]);
  assert.deepEqual(resources.diagnostics, []);
  return buildMesh(previous, { config: DEFAULT_MESH_CONFIG, resources, catalogue: undefined, localServices: [] });
}

async function answeredBy(port: number, name: string): Promise<number> {
  let count = 0;
  for (let i = 0; i < REQUESTS; i++) {
    const { status, headers } = await call(port);
    assert.equal(status, 200);
    if (headers['x-app'] === name) count += 1;
  }
  return count;
}

const wholeWarmUp = async (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, WARM_UP_S * 1000 + 500);
  });

test('a new endpoint begins with a small share and ends with its own', async (t: TestContext) => {
  const [port = 0, old = 0] = await freePorts(2);
  await httpApplication(t, old, 'old');
  const upstreams = [
    { serviceHost: 'reviews.default.mesh', servicePort: undefined, listen: { address: '127.0.0.1', port } },
  ];
  const envoy = await startAgentlet(t, host({ upstreams, callerIdentity: undefined }));
  const first = meshOf([old], undefined);
  envoy.serve(first, []);
  await eventually('the old one serves', async () => (await call(port)).status === 200);
  await wholeWarmUp();
  /** How many of the requests a new endpoint has while it has just come. */
  const atFirst = async (): Promise<number> => {
    for (;;) {
      const [young = 0] = await freePorts(1);
      await httpApplication(t, young, 'young');
      const began = performance.now();
      envoy.serve(meshOf([old, young], first), []);
      await eventually('the young one serves', async () => (await call(port)).headers['x-app'] === 'young');
      const count = await answeredBy(port, 'young');
      if (performance.now() - began < BEGINNING_MS) return count;
      // The machine was too slow for that: once more, with another one.
      envoy.serve(first, []);
      await eventually('it is gone', async () => (await answeredBy(port, 'young')) === 0);
    }
  };
  const cold = await atFirst();
  await wholeWarmUp();
  const warm = await answeredBy(port, 'young');
  t.diagnostic(`of ${REQUESTS} requests the new endpoint had ${cold} at first, ${warm} after ${WARM_UP_S} s`);
  assert.ok(cold < 0.3 * REQUESTS, `${cold} of ${REQUESTS} at once`);
  assert.ok(warm > 0.4 * REQUESTS, `${warm} of ${REQUESTS} after the warm-up`);
});
