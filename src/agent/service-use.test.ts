import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outboundStatHosts } from '../translate/clusters/stat-names.ts';
import { usedServices } from './service-use.ts';

const namedUpstreams = [{ serviceHost: 'reviews.default.mesh', addresses: ['127.240.0.1'] }];
const HOSTS = ['reviews.default.mesh', 'ledger.default.mesh'];

async function used(before: Record<string, number>, now: Record<string, number>): Promise<readonly string[]> {
  const stats = async (filter: string): Promise<ReadonlyMap<string, number>> =>
    new Map(Object.entries(now).filter(([name]) => new RegExp(filter).test(name)));
  const result = await usedServices({ namedUpstreams }, HOSTS, new Map(Object.entries(before)), stats);
  return [...result.used];
}

const cases: readonly (readonly [string, string, number, number, readonly string[]])[] = [
  ['requests to its cluster', 'cluster.outbound|9080||ledger.default.mesh;.upstream_rq_total', 1, 2, [HOSTS[1] ?? '']],
  [
    'a subset, of another client',
    'cluster.outbound|9080|v1|ledger.default.mesh~shop;.upstream_cx_total',
    0,
    1,
    [HOSTS[1] ?? ''],
  ],
  [
    'requests to its address that never left',
    'http.outbound_127.240.0.1_9080;.downstream_rq_total',
    4,
    5,
    [HOSTS[0] ?? ''],
  ],
  ['a connection that stays', 'listener.127.240.0.1_9080.downstream_cx_active', 1, 1, [HOSTS[0] ?? '']],
  ['nothing new', 'cluster.outbound|9080||ledger.default.mesh;.upstream_rq_total', 2, 2, []],
  ['nothing any more', 'cluster.outbound|9080||ledger.default.mesh;.upstream_cx_active', 1, 0, []],
  ['another service', 'cluster.outbound|9080||other.default.mesh;.upstream_rq_total', 1, 2, []],
];

for (const [what, name, before, now, expected] of cases)
  test(`use: ${what}`, async () => {
    assert.deepEqual(await used({ [name]: before }, { [name]: now }), expected);
  });

test('use: clusters that the mesh configuration names, whatever their subset', async () => {
  const ledger = {
    host: 'ledger.default.mesh',
    name: 'ledger',
    namespace: 'default',
    consulName: 'ledger',
    ports: [{ number: 9080, name: 'http', protocol: 'HTTP' as const }],
  };
  const config = { outboundClusterStatName: '%SERVICE%_%SERVICE_PORT%_%SUBSET_NAME%' };
  const of = async (name: string): Promise<readonly string[]> => {
    const stats = async (filter: string): Promise<ReadonlyMap<string, number>> =>
      new Map([[name, 1]].filter(([each]) => new RegExp(filter).test(String(each))) as [string, number][]);
    const { used: found } = await usedServices({}, HOSTS, new Map(), stats, outboundStatHosts(config, [ledger]));
    return [...found];
  };
  assert.deepEqual(await of('cluster.ledger.default_9080_;.upstream_rq_total'), [HOSTS[1]]);
  assert.deepEqual(await of('cluster.ledger.default_9080_v1~shop;.upstream_rq_total'), [HOSTS[1]]);
  assert.deepEqual(await of('cluster.observe|9080||ledger.default.mesh;.upstream_rq_total'), [HOSTS[1]]);
  assert.deepEqual(await of('cluster.ledgerXdefault_9080_;.upstream_rq_total'), []);
  assert.deepEqual(await of('cluster.other.default_9080_;.upstream_rq_total'), []);
});

test('use: a captured connection that stays, as its service has no listener of its own', async () => {
  const name = 'cluster.outbound|5432||reviews.default.mesh;.upstream_cx_active';
  assert.deepEqual(await used({ [name]: 1 }, { [name]: 1 }), [HOSTS[0]]);
  const listener = 'listener.127.240.0.1_9080.downstream_cx_total';
  assert.deepEqual(await used({ [name]: 1, [listener]: 3 }, { [name]: 1, [listener]: 3 }), []);
});
