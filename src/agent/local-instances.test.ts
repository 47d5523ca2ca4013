import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalInstance } from '../register/instance.ts';
import { localInstances } from './local-instances.ts';
import { completeSettings } from './settings-complete.ts';
import { SETTINGS_SCHEMA } from './settings-schema.ts';

function instances(
  written: Readonly<Record<string, unknown>>,
  consulNames: ReadonlyMap<string, string> = new Map(),
): readonly LocalInstance[] {
  const completed = completeSettings(SETTINGS_SCHEMA.parse({ identity: { provider: 'none' }, ...written }), {
    file: undefined,
    base: { directory: '/', credentials: undefined },
    machine: { hostName: 'vm-1', address: '10.0.0.5', cores: 2 },
    exists: () => false,
  });
  assert.ok('settings' in completed, JSON.stringify(completed));
  return localInstances(completed.settings, consulNames);
}

function only(service: Readonly<Record<string, unknown>>, rest: Readonly<Record<string, unknown>> = {}): LocalInstance {
  const [instance, ...more] = instances({
    services: [{ name: 'web', port: 9080, application: '127.0.0.1:8080', ...service }],
    ...rest,
  });
  assert.ok(instance !== undefined && more.length === 0);
  return instance;
}

test('an instance carries what agent.yaml says', () => {
  const service = {
    namespace: 'shop',
    version: 'v2',
    labels: { team: 'books' },
    tags: ['canary'],
    weights: { passing: 10, warning: 2 },
    protocol: 'HTTP',
    deregisterCriticalServiceAfter: '2h',
  };
  const identity = { provider: 'trysail-ca', ca: { address: '10.0.0.1:15012' } };
  assert.deepEqual(only(service, { host: { locality: 'eu-1/a' }, identity }), {
    name: 'web',
    namespace: 'shop',
    consulName: 'shop--web',
    address: '10.0.0.5',
    port: 9080,
    tags: ['canary'],
    version: 'v2',
    labels: { team: 'books', version: 'v2' },
    weights: { passing: 10, warning: 2 },
    protocol: 'HTTP',
    locality: 'eu-1/a',
    offersMtls: true,
    check: { kind: 'tcp', address: '127.0.0.1:8080', intervalMs: 10_000, timeoutMs: 2000 },
    proxyHealth: { kind: 'http', url: 'http://10.0.0.5:15021/healthz/ready' },
    deregisterAfterMs: 7_200_000,
  });
});

test('what is detected or unknown is left out, and a host without identity offers no mutual TLS', () => {
  const { protocol, locality, offersMtls, consulName } = only({});
  assert.deepEqual(
    { protocol, locality, offersMtls, consulName },
    {
      protocol: undefined,
      locality: undefined,
      offersMtls: false,
      consulName: 'web',
    },
  );
});

test('a service that only calls others is not registered', () => {
  assert.deepEqual(instances({ services: [{ name: 'caller' }] }), []);
});

test('every kind of check is made on the application and not on Envoy', () => {
  const times = { interval: '5s', timeout: '1s' };
  const parsed = { intervalMs: 5000, timeoutMs: 1000 };
  const rows = [
    [
      { http: '/health', ...times },
      { kind: 'http', url: 'http://127.0.0.1:8080/health', ...parsed },
    ],
    [
      { tcp: true, ...times },
      { kind: 'tcp', address: '127.0.0.1:8080', ...parsed },
    ],
    [
      { grpc: 'shop.Cart', ...times },
      { kind: 'grpc', address: '127.0.0.1:8080', service: 'shop.Cart', ...parsed },
    ],
    [
      { grpc: '', ...times },
      { kind: 'grpc', address: '127.0.0.1:8080', service: '', ...parsed },
    ],
    [
      { command: ['/bin/check', '-v'], ...times },
      { kind: 'command', command: ['/bin/check', '-v'], ...parsed },
    ],
    [{ ttl: '30s' }, { kind: 'ttl', ttlMs: 30_000 }],
  ] as const;
  for (const [check, expected] of rows) assert.deepEqual(only({ check }).check, expected);
});

test('an address of IPv6 is written in brackets where a port follows', () => {
  const rest = { host: { address: 'fd00::5' } };
  const application = '[::1]:8080';
  const http = only({ application, check: { http: '/health' } }, rest);
  assert.equal(http.check?.kind === 'http' && http.check.url, 'http://[::1]:8080/health');
  assert.equal(http.address, 'fd00::5');
  assert.equal(http.proxyHealth?.kind === 'http' && http.proxyHealth.url, 'http://[fd00::5]:15021/healthz/ready');
  const tcp = only({ application, check: { tcp: true } }, rest);
  assert.equal(tcp.check?.kind === 'tcp' && tcp.check.address, '[::1]:8080');
});

test('Consul checks a health listener on all addresses at that of the host', () => {
  for (const healthListener of ['0.0.0.0:15021', '[::]:15021']) {
    const { proxyHealth } = only({}, { envoy: { healthListener } });
    assert.deepEqual(proxyHealth, { kind: 'http', url: 'http://10.0.0.5:15021/healthz/ready' });
  }
  assert.deepEqual(only({}, { envoy: { healthListener: '127.0.0.1:1' } }).proxyHealth, {
    kind: 'http',
    url: 'http://127.0.0.1:1/healthz/ready',
  });
});

test('a Service record gives its service another name in Consul', () => {
  const names = new Map([
    ['shop/web', 'storefront'],
    ['default/other', 'nobody'],
  ]);
  const services = [
    { name: 'web', namespace: 'shop', port: 1, application: '127.0.0.1:8080' },
    { name: 'web', port: 2, application: '127.0.0.1:8081' },
  ];
  assert.deepEqual(
    instances({ services }, names).map(({ consulName }) => consulName),
    ['storefront', 'web'],
  );
});

test('what peers are told of a port follows the mode', () => {
  const identity = { provider: 'trysail-ca', ca: { address: '10.0.0.1:15012' } };
  const told = (service: Readonly<Record<string, unknown>>): readonly unknown[] => {
    const { address, port, servicePort, offersMtls, proxyHealth } = only(
      { application: '10.0.0.5:8080', ...service },
      { identity },
    );
    return [`${address}:${port}`, servicePort, offersMtls, proxyHealth !== undefined];
  };
  assert.deepEqual(told({ mode: 'full' }), ['10.0.0.5:9080', undefined, true, true]);
  assert.deepEqual(told({ mode: 'observe' }), ['10.0.0.5:9080', undefined, false, true]);
  assert.deepEqual(told({ mode: 'outbound' }), ['10.0.0.5:8080', 9080, false, false]);
  assert.deepEqual(told({ mode: 'off' }), ['10.0.0.5:8080', 9080, false, false]);
  assert.deepEqual(told({ mode: 'off', application: '10.0.0.5:9080' }), ['10.0.0.5:9080', undefined, false, false]);
  assert.deepEqual(told({ mode: 'off', application: '172.17.0.2:80' }), ['172.17.0.2:80', 9080, false, false]);
  assert.deepEqual(told({ capture: 'redirect', application: undefined }), ['10.0.0.5:9080', undefined, true, true]);
});
