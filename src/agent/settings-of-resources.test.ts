import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { parseResources } from '../sources/resource-reader.ts';
import type { AgentSettings, ServiceSettings } from './settings.ts';
import { type CompletedSettings, settingsOfResources } from './settings-of-resources.ts';

const SERVICE: ServiceSettings = {
  name: 'reviews',
  namespace: 'default',
  serviceAccount: 'reviews',
  version: undefined,
  labels: { team: 'books' },
  tags: [],
  weights: { passing: 1, warning: 1 },
  workloadGroup: 'vms',
  mode: 'full',
  inbound: { port: 9080, protocol: 'HTTP', application: { address: '127.0.0.1', port: 9080 }, capture: undefined },
  caller: undefined,
  check: { kind: 'tcp', intervalMs: 10_000, timeoutMs: 2000 },
  deregisterCriticalServiceAfterMs: 60_000,
};

function completed(
  text: string,
  service: Partial<ServiceSettings> = {},
  envoy = { concurrency: 8, concurrencyGiven: false },
  config: Parameters<typeof settingsOfResources>[2] = DEFAULT_MESH_CONFIG,
): CompletedSettings {
  const resources = parseResources([{ file: 'r.yaml', text }]);
  assert.deepEqual(
    resources.diagnostics.filter(({ severity }) => severity === 'error'),
    [],
  );
  const written = { host: {}, services: [{ ...SERVICE, ...service }], envoy } as unknown as AgentSettings;
  return settingsOfResources(written, resources, config);
}

const group = (spec: string): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: WorkloadGroup\nmetadata: {name: vms, namespace: default}\nspec: ${spec}\n`;
const proxy = (name: string, spec: string, namespace = 'default'): string =>
  `---\napiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;

test('a WorkloadGroup says what agent.yaml does not: labels, version, weight, check', () => {
  const { settings, diagnostics } = completed(
    group(
      '{metadata: {labels: {app: reviews, team: other}}, template: {labels: {version: v2}, weight: 3}, probe: {periodSeconds: 5, failureThreshold: 4, httpGet: {path: healthz, port: 8081, httpHeaders: [{name: x-probe, value: y}]}}}',
    ),
  );
  assert.deepEqual(diagnostics, []);
  const [service] = settings.services;
  assert.deepEqual(service?.labels, { app: 'reviews', team: 'books', version: 'v2' });
  assert.equal(service?.version, 'v2');
  assert.deepEqual(service?.weights, { passing: 3, warning: 1 });
  assert.deepEqual(service?.check, {
    kind: 'http',
    path: '/healthz',
    port: 8081,
    scheme: 'http',
    headers: [{ name: 'x-probe', value: 'y' }],
    intervalMs: 5000,
    timeoutMs: 1000,
    successesBeforePassing: 1,
    failuresBeforeCritical: 4,
  });
});

test('what agent.yaml says holds', () => {
  const check = { kind: 'ttl', ttlMs: 1000 } as const;
  const weights = { passing: 7, warning: 2 };
  const { settings, diagnostics } = completed(
    group('{template: {weight: 3, serviceAccount: robot}, probe: {tcpSocket: {port: 1}}}'),
    { check, weights },
  );
  assert.deepEqual(settings.services[0]?.check, check);
  assert.deepEqual(settings.services[0]?.weights, weights);
  assert.equal(settings.services[0]?.serviceAccount, 'reviews');
  assert.deepEqual(
    diagnostics.map(({ code }) => code),
    ['TRY0112'],
  );
});

test('a group that is not there is said, and changes nothing', () => {
  const { settings, diagnostics } = completed('', {});
  assert.deepEqual(settings.services[0], SERVICE);
  assert.deepEqual(
    diagnostics.map(({ code }) => code),
    ['IST0101'],
  );
});

test('a ProxyConfig of the workload goes before that of the namespace, that before the root’s, that before the mesh’s', () => {
  const root = proxy('root', '{concurrency: 5}', 'istio-system');
  const own = proxy('own', '{concurrency: 4}');
  const chosen = proxy('chosen', '{concurrency: 3, selector: {matchLabels: {team: books}}}');
  const other = proxy('other', '{concurrency: 2, selector: {matchLabels: {team: toys}}}');
  const threads = (text: string, config = {}): number =>
    completed(text, { workloadGroup: undefined } as never, undefined, { ...DEFAULT_MESH_CONFIG, ...config }).settings
      .envoy.concurrency;
  assert.equal(threads(root + own + chosen + other, { concurrency: 6 }), 3);
  assert.equal(threads(root + own + other, { concurrency: 6 }), 4);
  assert.equal(threads(root + other, { concurrency: 6 }), 5);
  assert.equal(threads(other, { concurrency: 6 }), 6);
  assert.equal(threads(other), 8);
  assert.equal(threads(proxy('all', '{concurrency: 0}')), availableParallelism());
});

test('envoy.concurrency of agent.yaml has the last word', () => {
  const { settings } = completed(proxy('own', '{concurrency: 4}'), {}, { concurrency: 2, concurrencyGiven: true });
  assert.equal(settings.envoy.concurrency, 2);
});
