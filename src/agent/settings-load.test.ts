import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AgentSettings } from './settings.ts';
import { issuesOf, loadYaml, MACHINE, settingsFolder, settingsOf } from './settings-fixture.ts';
import { loadAgentSettings } from './settings-load.ts';

const ONE = 'services: [{name: reviews, port: 9080}]\n';
const UP = 'upstreams: [{service: ratings, listen: 127.0.0.1:9082}]\n';

test('a file that does not exist says so', () => {
  const loaded = loadAgentSettings({ file: '/nonexistent/agent.yaml', flags: {}, env: {}, machine: MACHINE });
  assert.deepEqual(issuesOf(loaded), [
    'agent.yaml:1: error TRY0900: the file does not exist. Create it, or name another by --config.',
  ]);
});

test('flags beat environment beats file beats default', (t) => {
  const yaml = 'consul: {address: "http://127.0.0.1:1"}\n';
  const env = { TRYSAIL_CONSUL_ADDRESS: 'http://127.0.0.1:2', TRYSAIL_ENVOY_CONCURRENCY: '3' };
  const flags = { 'consul.address': 'http://127.0.0.1:3', 'identity.persist': 'false' };
  assert.equal(settingsOf(loadYaml(t, '')).consul.address, 'http://127.0.0.1:8500');
  assert.equal(settingsOf(loadYaml(t, yaml)).consul.address, 'http://127.0.0.1:1');
  assert.equal(settingsOf(loadYaml(t, yaml, { env })).consul.address, 'http://127.0.0.1:2');
  const settings = settingsOf(loadYaml(t, yaml, { env, flags }));
  assert.equal(settings.consul.address, 'http://127.0.0.1:3');
  assert.equal(settings.envoy.concurrency, 3);
  assert.equal(settings.identity.persist, false);
});

test('a bad value of a flag or variable is told by its name, not by a line of the file', (t) => {
  const loaded = loadYaml(t, 'log: {level: info}\n', {
    env: { TRYSAIL_ENVOY_CONCURRENCY: 'many' },
    flags: { 'log.level': 'loud' },
  });
  assert.deepEqual(issuesOf(loaded), [
    'error TRY0901 envoy.concurrency (environment variable TRYSAIL_ENVOY_CONCURRENCY): "many" is not a number of threads from 1 to 1024. Write it like 2.',
    'error TRY0901 log.level (flag --log-level): "loud" is not one of info, debug, warn, error. Write it like info.',
  ]);
});

test('an unknown TRYSAIL_ variable is a warning', (t) => {
  const loaded = loadYaml(t, '', { env: { TRYSAIL_CONSULL_ADDRESS: 'x', TRYSAIL_CONFIG: 'x', PATH: 'x' } });
  settingsOf(loaded);
  assert.deepEqual(issuesOf(loaded), [
    'warning TRY0905: environment variable TRYSAIL_CONSULL_ADDRESS is no setting. Did you mean "TRYSAIL_CONSUL_ADDRESS"?',
  ]);
});

test('defaults are complete', (t) => {
  const { file: _, ...settings } = settingsOf(loadYaml(t, `consul:\n${ONE}${UP}`));
  assert.deepEqual(settings, {
    host: { name: 'vm-1', address: '10.0.0.5', locality: undefined },
    mesh: { configFile: undefined, resourcesDir: '/etc/trysail/resources.d', fleet: undefined },
    registry: 'consul',
    consul: {
      address: 'http://127.0.0.1:8500',
      tokenFile: undefined,
      caFile: undefined,
      certFile: undefined,
      keyFile: undefined,
      maxWatches: 64,
    },
    identity: {
      provider: 'trysail-ca',
      persist: true,
      ca: { address: undefined, joinTokenFile: undefined },
      files: undefined,
    },
    mode: 'full',
    services: [
      {
        name: 'reviews',
        namespace: 'default',
        serviceAccount: 'reviews',
        version: undefined,
        labels: {},
        tags: [],
        weights: { passing: 1, warning: 1 },
        mode: 'full',
        inbound: {
          port: 9080,
          protocol: 'AUTO',
          application: { address: '127.0.0.1', port: 9080 },
          capture: undefined,
        },
        caller: undefined,
        check: { kind: 'tcp', intervalMs: 10_000, timeoutMs: 2000 },
        deregisterCriticalServiceAfterMs: 72 * 3_600_000,
      },
    ],
    upstreams: [
      { service: 'ratings', port: undefined, listen: { address: '127.0.0.1', port: 9082 }, callAs: undefined },
    ],
    gateways: [],
    callAs: { namespace: 'default', serviceAccount: 'reviews' },
    capture: {
      outbound: 'none',
      exclude: { ports: [], addresses: [], users: [], interfaces: [] },
      interfaces: [],
      onProxyFailure: { inbound: undefined, outbound: 'direct' },
    },
    dns: { enabled: false, listen: { address: '127.0.0.1', port: 15_053 }, addresses: ['127.240.0.0/16'] },
    discovery: { onDemand: false, keepForMs: 3_600_000, max: 64, proxy: undefined },
    envoy: {
      launcher: 'agent',
      runDir: '/run/trysail',
      binary: undefined,
      concurrency: 2,
      concurrencyGiven: false,
      healthListener: { address: '10.0.0.5', port: 15_021 },
      drainTimeMs: 45_000,
      lingerTimeMs: 10_000,
    },
    paths: { state: '/var/lib/trysail', run: '/run/trysail', credentials: '/etc/trysail/credentials' },
    log: { level: 'info' },
  } satisfies Omit<AgentSettings, 'file'>);
});

test('every kind of check, address and reference is read', (t) => {
  const settings = settingsOf(
    loadYaml(
      t,
      `
host: {name: vm-7, address: "fd00::7", locality: eu-1/a}
services:
  - {name: a, port: 1, application: "[::1]:2", check: {http: /health, interval: 5s, timeout: 500ms}}
  - {name: b, port: 3, check: {grpc: ""}}
  - {name: c, version: v2, labels: {team: books}, check: {command: [/bin/true]}}
  - {name: d, namespace: payments, serviceAccount: bank, check: {ttl: 30s}}
  - {name: e}
upstreams:
  - {service: {name: x, namespace: y}, listen: "[::1]:9000"}
  - {service: api.example.com, port: 443, listen: 127.0.0.9:9000}
callAs: payments/bank
consul: {address: unix:///run/consul/http.sock}
`,
    ),
  );
  assert.deepEqual(settings.host.locality, { region: 'eu-1', zone: 'a', subzone: '' });
  assert.deepEqual(settings.services[0]?.inbound?.application, { address: '::1', port: 2 });
  assert.deepEqual(
    settings.services.map(({ check }) => check),
    [
      { kind: 'http', path: '/health', intervalMs: 5000, timeoutMs: 500 },
      { kind: 'grpc', service: '', intervalMs: 10_000, timeoutMs: 2000 },
      { kind: 'command', command: ['/bin/true'], intervalMs: 10_000, timeoutMs: 2000 },
      { kind: 'ttl', ttlMs: 30_000 },
      undefined,
    ],
  );
  assert.deepEqual(settings.services[2]?.labels, { team: 'books', version: 'v2' });
  assert.deepEqual(settings.callAs, { namespace: 'payments', serviceAccount: 'bank' });
  assert.deepEqual(settings.upstreams[0]?.service, { name: 'x', namespace: 'y' });
  assert.equal(settings.consul.address, 'unix:///run/consul/http.sock');
});

test('a host without certificates needs no caller', (t) => {
  const settings = settingsOf(loadYaml(t, `identity: {provider: none}\nservices: [{name: a}, {name: b}]\n${UP}`));
  assert.equal(settings.callAs, undefined);
});

test('a machine that cannot tell its name or address must be told', (t) => {
  const loaded = loadYaml(t, '', { machine: { hostName: 'my host', address: undefined, cores: 1 } });
  assert.deepEqual(issuesOf(loaded), [
    'agent.yaml:1: error TRY0902 host.name: the machine\'s host name "my host" is not a name that a SPIFFE id can hold (letters, digits, ".", "_" and "-"). Set host.name.',
    'agent.yaml:1: error TRY0902 host.address: the machine has no default route that would tell its address. Set host.address to the address where peers reach this host.',
  ]);
});

test('an ACL token that would travel in plain text is a warning', (t) => {
  const token = join(settingsFolder(t), 'token');
  writeFileSync(token, 'x', { mode: 0o600 });
  const warnings = (address: string): number =>
    issuesOf(loadYaml(t, `consul: {address: "${address}", tokenFile: ${token}}\n`)).length;
  assert.equal(warnings('http://10.0.0.9:8500'), 1);
  for (const address of [
    'http://127.0.0.1:8500',
    'http://[::1]:8500',
    'http://localhost:8500',
    'https://10.0.0.9:8501',
    'unix:///run/c.sock',
  ])
    assert.equal(warnings(address), 0, address);
});

test('a check that nobody makes is a warning', (t) => {
  const loaded = loadYaml(
    t,
    `registry: files\nservices:\n  - {name: a, port: 80, application: 127.0.0.1:81, check: {http: /}}\n`,
  );
  assert.ok('settings' in loaded);
  assert.deepEqual(issuesOf(loaded), [
    'agent.yaml:3: warning TRY0902 services[0].check: nobody checks service a: with registry "files" there is no Consul. Remove the check; outlierDetection in a DestinationRule takes instances out that fail.',
  ]);
});

test('the application of a captured service, and one that peers dial, is at the address of the host unless said otherwise', (t) => {
  const settings = settingsOf(
    loadYaml(
      t,
      `
services:
  - {name: a, port: 80, capture: redirect}
  - {name: b, port: 81, mode: outbound}
  - {name: c, port: 82, mode: observe}
  - {name: d, port: 83, mode: off, application: 10.0.0.9:8080}
`,
    ),
  );
  assert.deepEqual(
    settings.services.map(({ mode, inbound }) => [mode, inbound?.application, inbound?.capture]),
    [
      ['full', { address: '10.0.0.5', port: 80 }, 'redirect'],
      ['outbound', { address: '10.0.0.5', port: 81 }, undefined],
      ['observe', { address: '127.0.0.1', port: 82 }, undefined],
      ['off', { address: '10.0.0.9', port: 8080 }, undefined],
    ],
  );
});

test('callers, sockets, ranges and exclusions are read', (t) => {
  const settings = settingsOf(
    loadYaml(
      t,
      `
services: [{name: a, unit: "a@1.service"}, {name: b, user: 1001}]
upstreams:
  - {service: x, listen: "unix:/run/x.sock", callAs: {namespace: default, serviceAccount: b}}
  - {service: y}
capture:
  outbound: listed
  exclude: {ports: [25], addresses: [10.9.0.0/16, "fd00::/8", 10.0.0.1], users: [backup, 0], interfaces: [wg0]}
  onProxyFailure: {inbound: deny}
dns: {addresses: [240.240.0.0/16, "2001:2::/64"]}
envoy: {launcher: systemd}
`,
    ),
  );
  assert.deepEqual(
    settings.services.map(({ caller }) => caller),
    [{ unit: 'a@1.service' }, { user: '1001' }],
  );
  assert.deepEqual(settings.upstreams, [
    {
      service: 'x',
      port: undefined,
      listen: { path: '/run/x.sock' },
      callAs: { namespace: 'default', serviceAccount: 'b' },
    },
    { service: 'y', port: undefined, listen: undefined, callAs: undefined },
  ]);
  assert.deepEqual(settings.capture, {
    outbound: 'listed',
    exclude: {
      ports: [25],
      addresses: ['10.9.0.0/16', 'fd00::/8', '10.0.0.1'],
      users: ['backup', '0'],
      interfaces: ['wg0'],
    },
    interfaces: [],
    onProxyFailure: { inbound: 'deny', outbound: 'direct' },
  });
  assert.equal(settings.dns.enabled, true);
  assert.equal(settings.envoy.runDir, '/run/trysail-envoy');
  assert.equal(settings.callAs, undefined);
});

test('a name that nobody answers is a warning', (t) => {
  const loaded = loadYaml(t, `${ONE}upstreams: [{service: b}]\ndns: {enabled: false}\n`);
  assert.ok('settings' in loaded);
  assert.deepEqual(issuesOf(loaded), [
    'agent.yaml:2: warning TRY0902 upstreams[0]: b is to be called by its name, and with dns.enabled: false nobody answers it. Add listen, or remove dns.enabled.',
  ]);
});
