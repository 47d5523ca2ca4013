import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HealthStatus } from '../api/status.ts';
import { TrysailError } from '../lib/errors.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import type { RegisteredService, RegistrarStatus } from '../register/registrar-status.ts';
import { build, catalogue, instance, MTLS, record, resources } from '../sources/mesh-fixture.ts';
import { reportServices, reportUpstreams, withRemedy } from './service-report.ts';
import type { AgentSettings } from './settings.ts';
import { completeSettings } from './settings-complete.ts';
import { toHost } from './settings-host.ts';
import { SETTINGS_SCHEMA } from './settings-schema.ts';

function settings(written: Readonly<Record<string, unknown>>): AgentSettings {
  const identity = { provider: 'trysail-ca', ca: { address: '10.0.0.1:15012' } };
  const completed = completeSettings(SETTINGS_SCHEMA.parse({ identity, ...written }), {
    file: undefined,
    base: { directory: '/', credentials: undefined },
    machine: { hostName: 'vm-1', address: '10.0.0.5', cores: 2 },
    exists: () => false,
  });
  assert.ok('settings' in completed, JSON.stringify(completed));
  return completed.settings;
}

const SERVICES = [
  { name: 'web', version: 'v2', port: 9080, application: '127.0.0.1:8080' },
  { name: 'audit', namespace: 'shop', serviceAccount: 'auditor' },
];
const UPSTREAMS_OF = 'default/web';
const WELL: HealthStatus = { state: 'passing' };

function registrar(web: Partial<RegisteredService>): RegistrarStatus {
  const service = {
    instance: 'default/web',
    consulName: 'web',
    id: 'web-vm-1',
    registered: true,
    sinceMs: 1,
    confirmed: true,
  };
  const health = { error: undefined, application: 'passing', proxy: 'passing', warnings: [] } as const;
  return {
    address: 'http://127.0.0.1:8500',
    connected: true,
    current: true,
    services: [{ ...service, ...health, ...web }],
  };
}

function services(status: RegistrarStatus | undefined, written: Readonly<Record<string, unknown>> = {}) {
  const agent = settings({ services: SERVICES, callAs: UPSTREAMS_OF, ...written });
  return reportServices(agent, toHost(agent, DEFAULT_MESH_CONFIG), status, WELL);
}

test('a registered service with its two healths as Consul sees them, and one that only calls others', () => {
  assert.deepEqual(services(registrar({ application: 'critical', proxy: 'warning' })), [
    {
      namespace: 'default',
      name: 'web',
      version: 'v2',
      identity: 'spiffe://cluster.local/ns/default/sa/web',
      port: 9080,
      mode: 'full',
      registered: true,
      application: { state: 'critical' },
      proxy: { state: 'warning' },
    },
    {
      namespace: 'shop',
      name: 'audit',
      identity: 'spiffe://cluster.local/ns/shop/sa/auditor',
      mode: 'full',
      application: { state: 'unknown' },
      proxy: WELL,
    },
  ]);
});

test('a service that is not registered says why, and what the token lacks', () => {
  const error = new TrysailError('CONSUL_ACL_DENIED', 'Consul refused it: 403.', {
    remedy: 'Give the token service "web" { policy = "write" }.',
  });
  const [web] = services(registrar({ registered: false, error, application: 'unknown', proxy: 'unknown' }));
  assert.equal(web?.registered, false);
  assert.equal(web?.registrationError, 'Consul refused it: 403. Give the token service "web" { policy = "write" }.');
  assert.equal(withRemedy(new TrysailError('X', 'It failed.')), 'It failed.');
});

test('a service of which the registrar knows nothing yet is not registered', () => {
  const [web] = services({ ...registrar({}), services: [] });
  assert.equal(web?.registered, false);
});

test('without a check nothing is known of the application, and that is said', () => {
  const [web] = services(registrar({ application: 'none' }));
  assert.deepEqual(web?.application, { state: 'unknown', output: 'no check is configured' });
});

test('with registry: files nobody is asked, and the proxy is as the agent sees it', () => {
  const [web] = services(undefined, { registry: 'files', identity: { provider: 'none' } });
  assert.deepEqual(web, {
    namespace: 'default',
    name: 'web',
    version: 'v2',
    port: 9080,
    mode: 'full',
    application: { state: 'unknown' },
    proxy: WELL,
  });
});

test('upstreams with what is known of their services', () => {
  const names = ['legacy', 'meshed', 'moving', 'nobody'];
  const agent = settings({
    services: SERVICES,
    callAs: UPSTREAMS_OF,
    upstreams: [
      ...names.map((service, i) => ({ service, listen: `127.0.0.1:${20_000 + i}` })),
      { service: 'meshed', port: 1234, listen: '[::1]:20009' },
    ],
  });
  const mesh = build({
    catalogue: catalogue({
      legacy: [instance('n/a', { port: 80 }), instance('n/b', { port: 80, status: 'critical' })],
      meshed: [instance('n/c', { meta: MTLS })],
      moving: [instance('n/d')],
    }),
    resources: resources(record('moving', '{ports: [{number: 8080}, {number: 9090}], tls: migrating}')),
  });
  assert.deepEqual(reportUpstreams(toHost(agent, DEFAULT_MESH_CONFIG), mesh), [
    {
      service: 'legacy.default.mesh',
      port: 80,
      listen: '127.0.0.1:20000',
      endpoints: { healthy: 1, total: 2 },
      tls: 'plain',
    },
    {
      service: 'meshed.default.mesh',
      port: 9080,
      listen: '127.0.0.1:20001',
      endpoints: { healthy: 1, total: 1 },
      tls: 'mtls',
    },
    // Several ports and none named: which is meant is not known.
    { service: 'moving.default.mesh', listen: '127.0.0.1:20002', endpoints: { healthy: 1, total: 1 }, tls: 'mixed' },
    { service: 'nobody.default.mesh', listen: '127.0.0.1:20003', endpoints: { healthy: 0, total: 0 }, tls: 'plain' },
    { service: 'meshed.default.mesh', listen: '[::1]:20009', endpoints: { healthy: 1, total: 1 }, tls: 'mtls' },
  ]);
});

test('an application that others reach past the proxy is named with its addresses', () => {
  const agent = settings({ services: SERVICES, callAs: UPSTREAMS_OF });
  const open = new Map([['default/web', ['0.0.0.0:8080']]]);
  const [web, audit] = reportServices(agent, toHost(agent, DEFAULT_MESH_CONFIG), registrar({}), WELL, open);
  assert.deepEqual([web?.bypassable, audit?.bypassable], [['0.0.0.0:8080'], undefined]);
});
