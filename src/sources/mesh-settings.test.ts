import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../model/diagnostic.ts';
import type { Mesh } from '../model/mesh.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import { buildMesh } from './build-mesh.ts';
import { mergeResources } from './merge-resources.ts';
import { parseResources, type ResourceFile, readResources } from './resource-reader.ts';
import type { ResourceSet } from './resource-set.ts';

const OF_HOST: MeshConfig = { ...DEFAULT_MESH_CONFIG, connectTimeoutMs: 3000, accessLogFile: '/dev/stdout' };

function meshConfig(spec: object, { name = 'mesh', namespace = 'istio-system' } = {}): string {
  return JSON.stringify({ apiVersion: 'trysail.dev/v1', kind: 'MeshConfig', metadata: { name, namespace }, spec });
}

function published(text: string): ResourceFile {
  const key = 'MeshConfig/istio-system/mesh';
  return { file: 'consul:istio-system/MeshConfig/mesh@1', text, single: { key, createdMs: 1000 } };
}

function built(resources: ResourceSet, config = OF_HOST, previous?: Mesh): Mesh {
  return buildMesh(previous, { config, resources, catalogue: undefined, localServices: [] });
}

const meshOf = (...texts: readonly string[]): Mesh =>
  built(parseResources(texts.map((text, i) => ({ file: `${i}.yaml`, text }))));

const said = ({ diagnostics }: Mesh): readonly string[] => diagnostics.map(({ code, path }) => `${code} ${path ?? ''}`);

test('its fields stand in the place of the host’s, the others stay', () => {
  const mesh = meshOf(meshConfig({ connectTimeout: '1s', outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } }));
  assert.deepEqual(said(mesh), []);
  assert.deepEqual(mesh.config, { ...OF_HOST, connectTimeoutMs: 1000, outboundTrafficPolicy: 'REGISTRY_ONLY' });
});

test('an empty text says nowhere, where the file of the host says somewhere', () => {
  assert.equal(meshOf(meshConfig({ accessLogFile: '' })).config.accessLogFile, undefined);
});

test('an empty block says the default, where the file of the host says something else', () => {
  const host: MeshConfig = { ...OF_HOST, outboundTrafficPolicy: 'REGISTRY_ONLY', pathNormalization: 'NONE' };
  const text = meshConfig({ outboundTrafficPolicy: {}, pathNormalization: {} });
  const { config } = built(parseResources([{ file: 'a.yaml', text }]), host);
  assert.deepEqual([config.outboundTrafficPolicy, config.pathNormalization], ['ALLOW_ANY', 'DEFAULT']);
});

test('a block is taken whole: nothing of the host’s is mixed in', () => {
  const retries = { attempts: 1, perTryTimeoutMs: 2000, retryOn: '5xx', retryRemoteLocalities: true };
  const host: MeshConfig = {
    ...OF_HOST,
    defaultHttpRetryPolicy: { ...retries, retryIgnorePreviousHosts: undefined, backoffMs: undefined },
  };
  const text = meshConfig({ defaultHttpRetryPolicy: { attempts: 4 } });
  const { config } = built(parseResources([{ file: 'a.yaml', text }]), host);
  assert.deepEqual(
    [config.defaultHttpRetryPolicy?.attempts, config.defaultHttpRetryPolicy?.perTryTimeoutMs],
    [4, undefined],
  );
});

for (const [field, value] of Object.entries({
  trustDomain: 'elsewhere',
  trustDomainAliases: ['elsewhere'],
  rootNamespace: 'shop',
  serviceHosts: ['{service}.elsewhere'],
  catalogue: { sentinelService: 'nobody' },
  envoyFilters: { namespaces: ['*'] },
}))
  test(`${field} is for the host to say, and takes the rest of the resource with it`, () => {
    const mesh = meshOf(meshConfig({ [field]: value, connectTimeout: '1s' }));
    assert.equal(mesh.config, OF_HOST);
    assert.deepEqual(said(mesh), [`TRY0003 spec.${field}`]);
    assert.match(mesh.diagnostics[0]?.message ?? '', /for each host to say/);
  });

test('what has no effect is told and takes nothing with it', () => {
  const mesh = meshOf(meshConfig({ defaultConfig: { concurrency: 7 }, ingressClass: 'x', connectTimeout: '1s' }));
  assert.deepEqual(said(mesh), ['TRY0005 spec.defaultConfig.concurrency', 'TRY0005 spec.ingressClass']);
  assert.deepEqual(mesh.config, { ...OF_HOST, connectTimeoutMs: 1000 });
  const behind = meshOf(meshConfig({ defaultConfig: { concurrency: 7, gatewayTopology: { numTrustedProxies: 2 } } }));
  assert.deepEqual(behind.config, { ...OF_HOST, gatewayTopology: { trustedHops: 2, proxyProtocol: false } });
});

for (const place of [{ name: 'other' }, { namespace: 'shop' }, { name: 'istio-system', namespace: 'mesh' }])
  test(`one that is ${JSON.stringify(place)} does not count`, () => {
    const mesh = meshOf(meshConfig({ connectTimeout: '1s' }, place));
    assert.equal(mesh.config, OF_HOST);
    assert.deepEqual(said(mesh), ['TRY0008 ']);
    const both = meshOf(meshConfig({ connectTimeout: '1s' }, place), meshConfig({ connectTimeout: '2s' }));
    assert.equal(both.config.connectTimeoutMs, 2000);
  });

test('the root namespace is the host’s word', () => {
  const text = meshConfig({ connectTimeout: '1s' }, { namespace: 'shop' });
  const host = { ...OF_HOST, rootNamespace: 'shop' };
  assert.equal(built(parseResources([{ file: 'a.yaml', text }]), host).config.connectTimeoutMs, 1000);
});

test('a fault keeps the last good one, and when it goes the host’s fields are back', () => {
  const good = readResources(undefined, [published(meshConfig({ connectTimeout: '1s' }))]);
  const first = built(good.set);
  assert.equal(first.config.connectTimeoutMs, 1000);
  const bad = readResources(good, [published(meshConfig({ connectTimeout: 'soon' }))]);
  const second = built(bad.set, OF_HOST, first);
  assert.equal(second.config, first.config, 'equal is the same object');
  assert.match(second.diagnostics.map(formatDiagnostic).join(), /the last good version stays in force/);
  const gone = readResources(bad, []);
  const third = built(gone.set, OF_HOST, second);
  assert.deepEqual([third.config, third.diagnostics], [OF_HOST, []]);
});

test('a change of the host’s file is seen below what is published', () => {
  const { set } = readResources(undefined, [published(meshConfig({ connectTimeout: '1s' }))]);
  const first = built(set);
  const second = built(set, { ...OF_HOST, connectTimeoutMs: 9000, h2UpgradePolicy: 'UPGRADE' }, first);
  assert.deepEqual([second.config.connectTimeoutMs, second.config.h2UpgradePolicy], [1000, 'UPGRADE']);
});

test('in the fleet and in a file of the host the fleet’s counts, which is told', () => {
  const fleet = parseResources([published(meshConfig({ connectTimeout: '1s' }))]);
  const local = parseResources([{ file: 'mesh.yaml', text: meshConfig({ connectTimeout: '2s', accessLogFile: '' }) }]);
  const mesh = built(mergeResources(undefined, fleet, local));
  assert.deepEqual(mesh.config, { ...OF_HOST, connectTimeoutMs: 1000 });
  assert.deepEqual(said(mesh), ['TRY0708 ']);
});
