/** The short way for changes of endpoints alone leads where the long way leads, whatever changes in whatever order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { DestinationRule } from '../../src/model/destination-rule.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import type { Endpoint } from '../../src/model/service.ts';
import type { VirtualService } from '../../src/model/virtual-service.ts';
import { Translator } from '../../src/translate/translator.ts';
import type { Resources } from '../../src/xds/resource.ts';
import { endpoint, host, mesh, service, spiffe, upstream } from './mesh-literals.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const NAMES = ['a', 'b', 'named'] as const;
const VERSIONS = ['v1', 'v2'] as const;

const meta = (kind: string, name: string) => ({
  kind,
  namespace: 'default',
  name,
  labels: {},
  source: { file: 'x.yaml', line: 1 },
  age: 0,
});

/** Subsets of `a`, of which a route names both. */
const RULE: DestinationRule = {
  meta: meta('DestinationRule', 'a'),
  host: 'a.default.mesh',
  trafficPolicy: undefined,
  subsets: VERSIONS.map((version) => ({ name: version, labels: { version }, trafficPolicy: undefined })),
  exportTo: [],
};
const destinations = VERSIONS.map((subset) => ({ host: 'a.default.mesh', subset, port: undefined, weight: 1 }));
const ROUTE: VirtualService = {
  meta: meta('VirtualService', 'a'),
  hosts: ['a.default.mesh'],
  http: [{ name: undefined, match: [], destinations, timeoutMs: undefined, retries: undefined }],
  exportTo: [],
};

const START = mesh(
  [
    [service('a', 'HTTP'), []],
    [service('b', 'TCP'), []],
    // Envoy resolves its names itself, so that its endpoints stand in the cluster.
    [service('named', 'HTTP', { resolution: 'STRICT_DNS', tls: 'plain' }), []],
  ],
  { destinationRules: [RULE], virtualServices: [ROUTE] },
);
/** What `payments` alone says of `b`, and of the subsets of `a`. */
const PAYMENTS: readonly DestinationRule[] = [
  { ...RULE, meta: { ...meta('DestinationRule', 'pa'), namespace: 'payments' }, subsets: RULE.subsets.toReversed() },
  { ...RULE, meta: { ...meta('DestinationRule', 'pb'), namespace: 'payments' }, host: 'b.default.mesh', subsets: [] },
];
const ONE_CALLER = host({ upstreams: NAMES.map((name, i) => upstream(name, 9001 + i)) });
const TWO_CALLERS = host({
  callerIdentity: undefined,
  upstreams: NAMES.map((name) => upstream(name, 0, { listen: { path: `/run/${name}.sock` }, caller: spiffe('anna') })),
  callers: [{ identity: spiffe('bert', 'payments'), namespace: 'payments', capturePort: 15001 }],
  namedUpstreams: NAMES.map((name, i) => ({ serviceHost: `${name}.default.mesh`, addresses: [`240.240.0.${i}`] })),
});

const anyEndpoint = fc
  .record({
    last: fc.integer({ min: 1, max: 6 }),
    version: fc.constantFrom(...VERSIONS),
    weight: fc.integer({ min: 1, max: 3 }),
    health: fc.constantFrom('HEALTHY', 'UNHEALTHY'),
  })
  .map(({ last, version, weight, health }) => endpoint(`10.0.0.${last}`, 80, { labels: { version }, weight, health }));
const anyEndpoints = fc.uniqueArray(anyEndpoint, { selector: ({ id }) => id, maxLength: 5 });
/** A change of one service's endpoints, or of the rules. */
const anyStep = fc.oneof(
  { weight: 5, arbitrary: fc.record({ service: fc.constantFrom(...NAMES), endpoints: anyEndpoints }) },
  { weight: 1, arbitrary: fc.constantFrom('rules', 'no rules') },
);

function after(before: Mesh, step: typeof anyStep extends fc.Arbitrary<infer T> ? T : never): Mesh {
  if (step === 'rules') return { ...before, destinationRules: [RULE, ...PAYMENTS], virtualServices: [ROUTE] };
  if (step === 'no rules') return { ...before, destinationRules: [], virtualServices: [] };
  const endpoints: readonly Endpoint[] = step.endpoints.toSorted((x, y) => (x.id < y.id ? -1 : 1));
  return { ...before, endpoints: new Map(before.endpoints).set(`${step.service}.default.mesh`, endpoints) };
}

const bytes = (resources: Resources): readonly string[] =>
  [...resources].flatMap(([type, byName]) =>
    [...byName].map(([name, { value }]) => `${type} ${name} ${Buffer.from(value).toString('hex')}`),
  );

test('a translator that has seen every step gives what a new one gives', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 12 }), fc.constantFrom(ONE_CALLER, TWO_CALLERS), (steps, self) => {
      const translator = new Translator();
      let current = START;
      translator.translate(current, self);
      for (const step of steps) {
        current = after(current, step);
        assert.deepEqual(bytes(translator.translate(current, self)), bytes(new Translator().translate(current, self)));
      }
    }),
    { numRuns: 300 },
  );
});
