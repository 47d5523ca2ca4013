/** What is told of rate limits that do nothing on a host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GatewayRole, Workload } from '../../src/model/host.ts';
import type { RateLimit } from '../../src/model/rate-limit.ts';
import { diagnose } from '../../src/translate/diagnose.ts';
import { host, mesh, service, workload } from './mesh-literals.ts';

function rateLimit(rest: Partial<RateLimit> = {}): RateLimit {
  const source = { file: 'x.yaml', line: 1 };
  return {
    meta: { kind: 'RateLimit', namespace: 'default', name: 'api', labels: {}, source, age: 0 },
    host: 'web.default.mesh',
    ports: [],
    limits: [],
    server: undefined,
    ...rest,
  };
}

function told(own: Workload, limits: RateLimit): readonly string[] {
  const services = [service('limits', 'GRPC'), service('two', 'GRPC', { ports: PORTS })] as const;
  const world = mesh(
    services.map((one) => [one, []]),
    { rateLimits: [limits] },
  );
  return diagnose(world, host({ workloads: [own] })).map(({ code, message }) => `${code} ${message}`);
}

const PORTS = [1, 2].map((number) => ({ number, name: `p${number}`, protocol: 'GRPC' }) as const);
const EDGE: GatewayRole = {
  namespace: 'default',
  name: 'edge',
  serviceHost: 'edge.default.mesh',
  labels: { istio: 'edge' },
  identity: undefined,
  address: '127.0.0.1',
};
const WEB = workload('web', 'HTTP', 80, 8080);
const server = (name: string, port?: number): Partial<RateLimit> => ({
  server: { host: `${name}.default.mesh`, port, domain: 'd', timeoutMs: 1, failClosed: port !== undefined },
});

test('nothing to tell', () => {
  assert.deepEqual(told(WEB, rateLimit()), []);
  assert.deepEqual(told(WEB, rateLimit(server('limits'))), []);
  assert.deepEqual(told(WEB, rateLimit(server('two', 2))), []);
  assert.deepEqual(told(workload('db', 'TCP', 80, 8080), rateLimit()), []);
});

test('ports without requests, and modes without rules', () => {
  assert.match(told(workload('web', 'TCP', 80, 8080), rateLimit()).join(), /TRY0412 .*carries TCP/);
  assert.match(told({ ...WEB, mode: 'observe' }, rateLimit()).join(), /TRY0412 .*mode is "observe"/);
  assert.match(told({ ...WEB, mode: 'outbound' }, rateLimit()).join(), /TRY0412 .*mode is "outbound"/);
});

test('a gateway is limited by the name of its Gateway, not of its service', () => {
  const said = (limits: RateLimit): string =>
    diagnose(mesh([], { rateLimits: [limits] }), host({ gateways: [EDGE] }))
      .map(({ code, message }) => `${code} ${message}`)
      .join('\n');
  assert.match(said(rateLimit({ host: 'edge.default.mesh' })), /TRY0412 .*edge\.default\.mesh .*it is a gateway/);
  assert.doesNotMatch(said(rateLimit({ host: 'web.default.mesh' })), /TRY0412/);
});

test('servers that are not known', () => {
  assert.match(told(WEB, rateLimit(server('nowhere'))).join(), /TRY0413 nothing is known of nowhere.*not limited/);
  assert.match(told(WEB, rateLimit(server('two'))).join(), /TRY0413 .*several ports \(1, 2\)/);
  assert.match(told(WEB, rateLimit(server('two', 3))).join(), /TRY0413 .*no port 3; requests are refused with 503/);
});
