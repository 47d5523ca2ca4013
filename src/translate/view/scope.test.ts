import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../../model/mesh-config.ts';
import type { Service } from '../../model/service.ts';
import type { Sidecar, SidecarEgress, SidecarHost } from '../../model/sidecar.ts';
import type { VirtualService } from '../../model/virtual-service.ts';
import { type Scope, scopeOf, sidecarOf } from './scope.ts';

const CLIENT = { namespace: 'shop', workload: 'web', labels: { app: 'web' } };

function meta(name: string, namespace: string): Sidecar['meta'] {
  return { kind: 'X', name, namespace, labels: {}, createdMs: undefined, source: { file: 'a.yaml', line: 1 } } as never;
}

function service(host: string, namespace: string, ports: readonly number[], exportTo: readonly string[] = []): Service {
  return {
    host,
    namespace,
    name: host.split('.')[0] ?? '',
    consulName: undefined,
    aliases: [`${host}.alias`],
    ports: ports.map((number) => ({ number, name: `p${number}`, protocol: 'HTTP' })),
    tls: 'plain',
    identities: [],
    resolution: 'EDS',
    external: false,
    exportTo,
  };
}

function rule(namespace: string, hosts: readonly string[], destinations: readonly string[]): VirtualService {
  return {
    meta: meta('rule', namespace),
    hosts,
    exportTo: [],
    http: [{ match: [], destinations: destinations.map((host) => ({ host })) }],
  } as never;
}

function entry(text: string): SidecarHost {
  const [first = '', host = ''] = text.split('/');
  const excluded = first.length > 1 && first.startsWith('~');
  return { namespace: excluded ? first.slice(1) : first, host, excluded };
}

function sidecar(
  namespace: string,
  egress: readonly (readonly [number | undefined, readonly string[]])[],
  selector?: Record<string, string>,
): Sidecar {
  return {
    meta: meta('sidecar', namespace),
    workloadSelector: selector,
    ingress: [],
    egress: egress.map(
      ([port, hosts]): SidecarEgress => ({
        port: port === undefined ? undefined : { number: port, name: 'p', protocol: 'HTTP' },
        bind: undefined,
        captureMode: 'DEFAULT',
        hosts: hosts.map(entry),
      }),
    ),
    inboundConnectionPool: undefined,
    outboundTrafficPolicy: undefined,
  };
}

function scope(hosts: readonly string[], rules: readonly VirtualService[] = []): Scope {
  return scopeOf(sidecar('shop', [[undefined, hosts]]), rules, CLIENT);
}

test('which Sidecar is a workload’s own', () => {
  const root = sidecar(DEFAULT_MESH_CONFIG.rootNamespace, [[undefined, ['~/*']]]);
  const selecting = sidecar(DEFAULT_MESH_CONFIG.rootNamespace, [[undefined, ['*/*']]], { app: 'web' });
  const ofNamespace = sidecar('shop', [[undefined, ['./*']]]);
  const ofWorkload = sidecar('shop', [[undefined, ['./*']]], { app: 'web' });
  const younger = sidecar('shop', [[undefined, ['./*']]], { app: 'web' });
  const ofOthers = sidecar('shop', [[undefined, ['./*']]], { app: 'desk' });
  const choose = (...sidecars: readonly Sidecar[]): Sidecar | undefined =>
    sidecarOf({ sidecars, config: DEFAULT_MESH_CONFIG }, CLIENT);
  assert.equal(choose(root, ofOthers, ofNamespace, ofWorkload, younger), ofWorkload);
  assert.equal(choose(root, ofOthers, ofNamespace), ofNamespace);
  assert.equal(choose(selecting, root, ofOthers), root);
  assert.equal(choose(selecting, ofOthers), undefined);
});

const SERVICES = {
  reviews: service('reviews.shop.mesh', 'shop', [80]),
  vault: service('vault.pay.mesh', 'pay', [80]),
  ledger: service('ledger.pay.mesh', 'pay', [80]),
};

const imports: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['a namespace', ['pay/*'], ['vault', 'ledger']],
  ['one host', ['pay/ledger.pay.mesh'], ['ledger']],
  ['one host by an alias', ['pay/ledger.pay.mesh.alias'], ['ledger']],
  ['one host of another namespace', ['shop/ledger.pay.mesh'], []],
  ['a suffix anywhere', ['*/*.pay.mesh'], ['vault', 'ledger']],
  ['all but one', ['*/*', '~pay/vault.pay.mesh'], ['reviews', 'ledger']],
  ['nothing', ['~/*'], []],
];

for (const [what, hosts, expected] of imports)
  test(`a Sidecar that imports ${what}`, () => {
    const seen = Object.entries(SERVICES).flatMap(([name, one]) => (scope(hosts).calls(one, 80) ? [name] : []));
    assert.deepEqual(seen, expected);
  });

test('a listener with a port has it for itself', () => {
  const both = service('reviews.shop.mesh', 'shop', [80, 5432]);
  const db = service('db.shop.mesh', 'shop', [5432]);
  const of = scopeOf(
    sidecar('shop', [
      [5432, ['shop/db.shop.mesh']],
      [undefined, ['shop/*']],
    ]),
    [],
    CLIENT,
  );
  assert.deepEqual([of.calls(both, 80), of.calls(both, 5432), of.calls(db, 5432)], [true, false, true]);
  assert.deepEqual([of.calls(both), of.calls(db)], [true, true]);
});

test('where imported rules lead can be reached, and not called', () => {
  const rules = [rule('shop', ['reviews.shop.mesh'], ['ledger.pay.mesh']), rule('pay', ['other'], ['vault.pay.mesh'])];
  const of = scope(['shop/*'], rules);
  assert.deepEqual(
    Object.values(SERVICES).map((one) => [of.calls(one), of.reaches(one)]),
    [
      [true, true],
      [false, false],
      [false, true],
    ],
  );
});

test('rules count whose namespace and host an entry has, a wildcard on either side', () => {
  const of = scope(['shop/reviews.shop.mesh', '~shop/*.secret.mesh']);
  const counts = (namespace: string, host: string): boolean => of.imports(rule(namespace, [host], []));
  assert.deepEqual(
    [
      counts('shop', 'reviews.shop.mesh'),
      counts('shop', '*.shop.mesh'),
      counts('pay', 'reviews.shop.mesh'),
      counts('shop', 'ratings.shop.mesh'),
    ],
    [true, true, false, false],
  );
});

test('without a Sidecar everything is seen that is exported here', () => {
  const of = scopeOf(undefined, [], CLIENT);
  assert.deepEqual(
    [['*'], ['shop'], ['.'], ['~'], []].map((exportTo) => of.calls(service('a.pay.mesh', 'pay', [80], exportTo), 80)),
    [true, true, false, false, true],
  );
});
