/** The examples that a reader copies from README.md and docs/ are valid, and every page can be found. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { loadAgentSettings } from '../../src/agent/settings-load.ts';
import { formatDiagnostic } from '../../src/model/diagnostic.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { KINDS } from '../../src/sources/kinds.ts';
import { parseMeshConfig } from '../../src/sources/mesh-config.ts';
import { MESH_CONFIG_UNSUPPORTED, meshConfigSchema } from '../../src/sources/mesh-config-schema.ts';
import {
  DEFAULT_CONFIG_WITHOUT_EFFECT,
  MESH_CONFIG_WITHOUT_EFFECT,
} from '../../src/sources/mesh-config-without-effect.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { tempDir } from '../support/temp-dir.ts';

const root = join(import.meta.dirname, '../..');
const PAGES = ['README.md', ...globSync('docs/**/*.md', { cwd: root })];

function text(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

/** The YAML of a page whose text has `marker`. */
function yamlWith(page: string, marker: string): string {
  const found = [...text(page).matchAll(/```yaml\n([\s\S]*?)```/g)].find(([, body = '']) => body.includes(marker));
  assert.ok(found?.[1] !== undefined, `${page} has no YAML with ${marker}`);
  return found[1];
}

test('links within the documentation lead somewhere', () => {
  const broken = PAGES.flatMap((page) =>
    [...text(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !target.endsWith('.png') && !existsSync(join(root, dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  );
  assert.deepEqual(broken, []);
});

test('README.md leads to every page of docs/', () => {
  const readme = text('README.md');
  assert.deepEqual(
    PAGES.filter((page) => /^docs\/[^/]+\.md$/.test(page) && !readme.includes(`](${page})`)),
    [],
  );
});

test('agent.yaml of README.md is valid', async (t) => {
  const dir = await tempDir(t);
  const file = join(dir, 'agent.yaml');
  await writeFile(file, yamlWith('README.md', 'joinTokenFile'));
  await writeFile(join(dir, 'join.token'), 'x');
  await chmod(join(dir, 'join.token'), 0o600);
  const machine = { hostName: 'vm-1', address: '10.0.0.5', cores: 2 };
  const loaded = loadAgentSettings({ file, flags: {}, env: {}, machine });
  assert.deepEqual(('issues' in loaded ? loaded.issues : loaded.warnings).map(formatDiagnostic), []);
});

test('agent.yaml of docs/adopt.md is valid', async (t) => {
  const file = join(await tempDir(t), 'agent.yaml');
  await writeFile(file, yamlWith('docs/adopt.md', 'mode: observe'));
  const machine = { hostName: 'vm-1', address: '10.77.0.3', cores: 2 };
  const loaded = loadAgentSettings({ file, flags: {}, env: {}, machine });
  const issues = ('issues' in loaded ? loaded.issues : loaded.warnings).map(formatDiagnostic);
  assert.deepEqual(
    issues.filter((issue) => !issue.includes('/etc/trysail/join.token')),
    [],
  );
});

/** Blocks of YAML that are resources, by page and first line. */
const RESOURCES = PAGES.flatMap((page) =>
  [...text(page).matchAll(/```ya?ml\n([\s\S]*?)```/g)]
    .filter(([, body = '']) => /^apiVersion:/m.test(body))
    .map(({ 1: body = '', index }) => ({
      file: page,
      line: text(page).slice(0, index).split('\n').length + 1,
      text: body,
    })),
);

test('pages have an example of every kind that is supported', () => {
  const shown = new Set(RESOURCES.flatMap((each) => [...each.text.matchAll(/^kind: (\w+)/gm)].map(([, kind]) => kind)));
  assert.deepEqual(
    Object.keys(KINDS).filter((kind) => !shown.has(kind)),
    [],
  );
});

for (const { file, line, text: example } of RESOURCES)
  test(`the resources at ${file}:${line} are valid`, () => {
    const resources = parseResources([{ file, text: example }]);
    assert.deepEqual(resources.diagnostics.map(formatDiagnostic), []);
    const documents = example.match(/^apiVersion:/gm) ?? [];
    const read = Object.values(resources)
      .flatMap((list: readonly unknown[]) => list)
      .filter((each) => each !== undefined);
    assert.equal(read.length, documents.length);
  });

test('the fleet without Consul of docs/resources.md has its workload, by mutual TLS', () => {
  const resources = parseResources([
    { file: 'fleet.yaml', text: yamlWith('docs/resources.md', 'kind: WorkloadEntry') },
  ]);
  const mesh = buildMesh(undefined, {
    config: DEFAULT_MESH_CONFIG,
    resources,
    catalogue: undefined,
    localServices: [],
  });
  assert.deepEqual(mesh.diagnostics.map(formatDiagnostic), []);
  assert.equal(mesh.services.get('payments.default.mesh')?.tls, 'required');
  assert.deepEqual(mesh.services.get('payments.default.mesh')?.identities, [
    'spiffe://cluster.local/ns/default/sa/payments',
  ]);
  assert.deepEqual(
    mesh.endpoints.get('payments.default.mesh')?.map(({ address }) => address),
    ['10.0.0.6'],
  );
});

test('docs/meshconfig.md has a valid example, and every key with its default', () => {
  const { diagnostics } = parseMeshConfig(yamlWith('docs/meshconfig.md', 'trustDomain'), 'meshconfig.yaml');
  assert.deepEqual(diagnostics.map(formatDiagnostic), []);
  const { catalogue } = DEFAULT_MESH_CONFIG;
  const known = Object.keys(meshConfigSchema._zod.def.shape).filter(
    (key) => key !== 'catalogue' && !MESH_CONFIG_UNSUPPORTED.includes(key),
  );
  const keys = [...known, ...Object.keys(catalogue).map((key) => `catalogue.${key}`)];
  const [rest = '', without = ''] = text('docs/meshconfig.md').split("## Fields of Istio's without effect");
  const [ofAll = '', topology = ''] = rest.split('### Gateways');
  const [, ofCatalogue = ''] = topology.split("## Consul's catalogue");
  const documented = new Set([...(ofAll + ofCatalogue).matchAll(/^\| `([^`]+)` \|/gm)].map(([, key]) => key));
  assert.deepEqual(documented, new Set(keys.map((key) => key.replace(/Ms$/, ''))));
  const rows = (table: string): Record<string, string> =>
    Object.fromEntries(
      [...table.matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)].map(([, name = '', remedy = '']) => [name, remedy]),
    );
  const [mesh = '', proxy = ''] = without.split('In `defaultConfig`:');
  assert.deepEqual(rows(mesh), MESH_CONFIG_WITHOUT_EFFECT);
  assert.deepEqual(rows(proxy), DEFAULT_CONFIG_WITHOUT_EFFECT);
});
