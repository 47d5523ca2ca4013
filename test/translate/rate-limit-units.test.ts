/** What a change costs where limits stand before a workload. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Gateway } from '../../src/model/gateway.ts';
import type { GatewayRole } from '../../src/model/host.ts';
import type { RateLimit } from '../../src/model/rate-limit.ts';
import { Translator } from '../../src/translate/translator.ts';
import { endpoint, host, mesh, service, workload } from './mesh-literals.ts';

function rateLimit(scope: 'fleet' | 'instance', requests = 10): RateLimit {
  const source = { file: 'x.yaml', line: 1 };
  const rest = { match: [], by: [], perMs: 1000, burst: undefined, dryRun: false };
  return {
    meta: { kind: 'RateLimit', namespace: 'default', name: scope, labels: {}, source, age: 0 },
    host: 'web.default.mesh',
    ports: [],
    limits: [{ name: 'all', requests, scope, ...rest }],
    server: undefined,
  };
}

const WEB = service('web', 'HTTP');
const OTHER = service('other', 'HTTP');
const HOST = host({ workloads: [workload('web', 'HTTP', 80, 8080), workload('db', 'TCP', 5432, 5433)] });
const own = endpoint('127.0.0.1', 80);

/** What is built anew when `change` follows on a mesh with such a limit. */
function cost(limits: readonly RateLimit[], change: Parameters<typeof mesh>[0] | readonly RateLimit[]) {
  const translator = new Translator();
  const first = mesh(
    [
      [WEB, [own]],
      [OTHER, []],
    ],
    { rateLimits: limits },
  );
  translator.translate(first, HOST);
  const before = translator.recomputed;
  const isServices = change.some((one) => Array.isArray(one));
  const next = isServices
    ? { ...first, endpoints: mesh(change as Parameters<typeof mesh>[0]).endpoints }
    : { ...first, rateLimits: change as readonly RateLimit[] };
  translator.translate(next, HOST);
  const { listeners, routeConfigs, clusters } = translator.recomputed;
  return {
    listeners: listeners - before.listeners,
    routeConfigs: routeConfigs - before.routeConfigs,
    clusters: clusters - before.clusters,
  };
}

const NOTHING = { listeners: 0, routeConfigs: 0, clusters: 0 };

test('an instance more remakes the routes of limits of the fleet, and nothing else', () => {
  const more = [
    [WEB, [own, endpoint('127.0.0.2', 80)]],
    [OTHER, []],
  ] as const;
  assert.deepEqual(cost([rateLimit('fleet')], more), { ...NOTHING, routeConfigs: 1 });
  assert.deepEqual(cost([rateLimit('instance')], more), NOTHING);
});

test('an instance of another service, or one that does not live, remakes nothing', () => {
  const others = [
    [WEB, [own]],
    [OTHER, [endpoint('127.0.0.3', 80)]],
  ] as const;
  assert.deepEqual(cost([rateLimit('fleet')], others), NOTHING);
  const dead = [
    [WEB, [own, endpoint('127.0.0.2', 80, { health: 'UNHEALTHY' })]],
    [OTHER, []],
  ] as const;
  assert.deepEqual(cost([rateLimit('fleet')], dead), NOTHING);
});

test('other limits remake what stands before that workload alone', () => {
  const { listeners, routeConfigs, clusters } = cost([rateLimit('instance')], [rateLimit('instance', 20)]);
  assert.equal(routeConfigs, 1);
  assert.equal(clusters, 0);
  assert.ok(listeners <= 1, 'the listener of the other workload');
});

const EDGE: GatewayRole = {
  namespace: 'default',
  name: 'edge',
  serviceHost: 'edge.default.mesh',
  labels: {},
  identity: undefined,
  address: '127.0.0.1',
  registered: { address: '127.0.0.1', port: 80 },
};
const GATEWAY: Gateway = {
  meta: { ...rateLimit('fleet').meta, kind: 'Gateway', name: 'gw' },
  selector: {},
  servers: [
    {
      name: undefined,
      port: { number: 80, name: 'http', protocol: 'HTTP' },
      bind: undefined,
      hosts: [{ namespace: '*', host: '*' }],
      tls: undefined,
    },
  ],
};

test('another instance of a gateway remakes the routes with limits of the fleet, as a translation of everything would', () => {
  const edge = service('edge', 'HTTP');
  const self = host({ gateways: [EDGE] });
  const of = (scope: 'fleet' | 'instance') => {
    const translator = new Translator();
    const limits = [{ ...rateLimit(scope), host: undefined, gateway: { name: 'default/gw', hosts: [] } }];
    const first = mesh([[edge, [own]]], { rateLimits: limits, gateways: [GATEWAY] });
    translator.translate(first, self);
    const before = translator.recomputed;
    const next = { ...first, endpoints: mesh([[edge, [own, endpoint('127.0.0.2', 80)]]]).endpoints };
    const made = translator.translate(next, self);
    assert.deepEqual(made, new Translator().translate(next, self));
    const { listeners, routeConfigs } = translator.recomputed;
    return [listeners - before.listeners, routeConfigs - before.routeConfigs];
  };
  assert.deepEqual(of('fleet'), [0, 1]);
  assert.deepEqual(of('instance'), [0, 0]);
});
