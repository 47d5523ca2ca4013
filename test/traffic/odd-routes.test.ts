/** Whatever passes our validation of a route, Envoy takes: a refused route would take its whole configuration with it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { stringify } from 'yaml';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { Translator } from '../../src/translate/translator.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { host } from '../translate/mesh-literals.ts';
import { staticBootstrap } from '../translate/static-bootstrap.ts';
import { oddRoute } from './odd-routes.ts';

const SAMPLES = 2500;
const SEED = Number(process.env['ODD_ROUTES_SEED'] ?? 20_260_101);

/** Each on a service of its own, so that none hides another. */
function yamlOf(routes: readonly object[]): string {
  return routes
    .flatMap((route, i) => [
      {
        kind: 'ServiceEntry',
        metadata: { name: `s${i}` },
        spec: {
          hosts: [`s${i}.default.mesh`],
          location: 'MESH_INTERNAL',
          resolution: 'STATIC',
          ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
          endpoints: [{ address: '127.0.0.1' }],
        },
      },
      { kind: 'VirtualService', metadata: { name: `s${i}` }, spec: { hosts: [`s${i}`], http: [route] } },
    ])
    .map((document) => stringify({ apiVersion: 'networking.istio.io/v1', ...document }))
    .join('---\n');
}

function isAccepted(route: object): boolean {
  return parseResources([{ file: 'a.yaml', text: yamlOf([route]) }]).virtualServices.length === 1;
}

/** What Envoy says of these routes, if it refuses them. */
async function complaint(routes: readonly object[], dir: string): Promise<string | undefined> {
  const resources = parseResources([{ file: 'a.yaml', text: yamlOf(routes) }]);
  const mesh = buildMesh(undefined, {
    config: DEFAULT_MESH_CONFIG,
    resources,
    catalogue: undefined,
    localServices: [],
  });
  const upstreams = routes.map((_, i) => ({
    serviceHost: `s${i}.default.mesh`,
    servicePort: undefined,
    listen: { address: '127.0.0.1', port: 10_000 + i },
  }));
  const translator = new Translator();
  const translated = translator.translate(mesh, host({ callerIdentity: undefined, upstreams }));
  assert.deepEqual(translator.failures, []);
  const bootstrap = {
    ...(await staticBootstrap(translated, { nodeId: 'odd', secrets: [] })),
    layered_runtime: {
      layers: [{ name: 'static', static_layer: { 're2.max_program_size.error_level': 32_768 } }],
    },
  };
  const path = join(dir, 'bootstrap.json');
  await writeFile(path, JSON.stringify(bootstrap), { mode: 0o600 });
  const run = promisify(execFile)(envoyBinary(), ['--mode', 'validate', '--disable-hot-restart', '-c', path]);
  return run.then(
    () => undefined,
    (error: unknown) => String(error),
  );
}

/** The routes among these that Envoy refuses, found by halves. */
async function refusedOf(routes: readonly object[], dir: string): Promise<readonly string[]> {
  const said = await complaint(routes, dir);
  if (said === undefined) return [];
  if (routes.length === 1) return [`${JSON.stringify(routes[0])}: ${said}`];
  const half = routes.length >> 1;
  return [...(await refusedOf(routes.slice(0, half), dir)), ...(await refusedOf(routes.slice(half), dir))];
}

test('Envoy takes every route that we take', async (t) => {
  const samples = fc.sample(oddRoute, { numRuns: SAMPLES, seed: SEED });
  const accepted = samples.filter(isAccepted);
  assert.ok(accepted.length > 100 && accepted.length < SAMPLES, `${accepted.length} of ${SAMPLES} are accepted`);
  assert.deepEqual(await refusedOf(accepted, await tempDir(t)), [], `seed ${SEED}`);
});
