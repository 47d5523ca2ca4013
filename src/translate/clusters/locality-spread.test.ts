import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LoadBalancer, LocalityLoadBalancing, OutlierDetection } from '../../model/destination-rule.ts';
import type { Endpoint } from '../../model/service.ts';
import { coversLocality, localitySpread, spreadKey } from './locality-spread.ts';

const HERE = { locality: { region: 'eu', zone: 'a', subzone: '1' }, labels: { rack: 'r7' } };
const OUTLIER = { consecutive5xxErrors: 1 } as OutlierDetection;

function setting(rest: Partial<LocalityLoadBalancing>): LocalityLoadBalancing {
  return { enabled: true, distribute: [], failover: [], failoverPriority: [], ...rest };
}

function balancer(locality?: LocalityLoadBalancing): LoadBalancer {
  return { kind: 'simple', simple: 'RANDOM', ...(locality !== undefined && { locality }) };
}

function tierOf(loadBalancer: LoadBalancer, locality: string, labels: Endpoint['labels'] = {}): number | undefined {
  const [region = '', zone = '', subzone = ''] = locality.split('/');
  const spread = localitySpread({ loadBalancer, outlierDetection: OUTLIER }, {}, HERE);
  const endpoint = { locality: { region, zone, subzone }, labels } as Endpoint;
  return spread?.kind === 'failover' ? spread.tier(endpoint) : undefined;
}

test('patterns of localities', () => {
  const at = { region: 'eu', zone: 'a', subzone: '1' };
  for (const pattern of ['*', 'eu', 'eu/*', 'eu/a', 'eu/a/*', 'eu/a/1'])
    assert.ok(coversLocality(pattern, at), pattern);
  for (const pattern of ['us', 'us/*', 'eu/b/*', 'eu/a/2', 'e']) assert.ok(!coversLocality(pattern, at), pattern);
});

test('nothing fails over without outlier detection, without a place, or where it is turned off', () => {
  const loadBalancer = balancer();
  assert.equal(localitySpread({ loadBalancer, outlierDetection: undefined }, {}, HERE), undefined);
  const nowhere = { locality: { region: '', zone: '', subzone: '' }, labels: {} };
  assert.equal(localitySpread({ loadBalancer, outlierDetection: OUTLIER }, {}, nowhere), undefined);
  const off = setting({ enabled: false });
  assert.equal(localitySpread({ loadBalancer: balancer(off), outlierDetection: OUTLIER }, {}, HERE), undefined);
  const ofMesh = { localityLbSetting: off };
  assert.equal(localitySpread({ loadBalancer, outlierDetection: OUTLIER }, ofMesh, HERE), undefined);
});

test('nearer comes first, and of the others the region that failover names', () => {
  const named = balancer(setting({ failover: [{ from: 'eu', to: 'us' }] }));
  assert.deepEqual(
    ['eu/a/1', 'eu/a/2', 'eu/b/1', 'us/a/1', 'ap/a/1'].map((place) => tierOf(named, place)),
    [0, 1, 2, 3, 4],
  );
  const elsewhere = balancer(setting({ failover: [{ from: 'ap', to: 'us' }] }));
  assert.deepEqual([tierOf(elsewhere, 'us/a/1'), tierOf(elsewhere, 'ap/a/1')], [3, 3]);
});

test('failoverPriority counts leading labels; places are labels too', () => {
  const zoned = balancer(setting({ failoverPriority: ['topology.kubernetes.io/region', 'rack'] }));
  assert.equal(tierOf(zoned, 'eu/b/1', { rack: 'r7' }), 0);
  const [sameRegion, sameRack] = [tierOf(zoned, 'eu/b/1', { rack: 'r1' }), tierOf(zoned, 'us/b/1', { rack: 'r7' })];
  assert.ok(sameRegion !== undefined && sameRack !== undefined && 0 < sameRegion && sameRegion < sameRack);
  const written = balancer(setting({ failoverPriority: ['rack=r1'] }));
  assert.equal(tierOf(written, 'ap/a/1', { rack: 'r1' }), 0);
});

test('shares are those of the first pattern that covers the client, with or without outlier detection', () => {
  const distribute = [
    { from: 'us/*', to: { 'us/*': 100 } },
    { from: 'eu/*', to: { 'eu/*': 90, 'us/*': 10 } },
  ];
  const loadBalancer = balancer(setting({ distribute }));
  const spread = localitySpread({ loadBalancer, outlierDetection: undefined }, {}, HERE);
  assert.deepEqual(spread, { kind: 'shares', to: { 'eu/*': 90, 'us/*': 10 } });
});

test('spreads that say the same have one key', () => {
  const key = (labels: Endpoint['labels'], priority: string): string =>
    spreadKey(
      localitySpread(
        { loadBalancer: balancer(setting({ failoverPriority: [priority] })), outlierDetection: OUTLIER },
        {},
        { ...HERE, labels },
      ),
    );
  assert.equal(key({ rack: 'a', other: 'x' }, 'rack'), key({ rack: 'a', other: 'y' }, 'rack'));
  assert.notEqual(key({ rack: 'a' }, 'rack'), key({ rack: 'b' }, 'rack'));
  assert.equal(key({ rack: 'a' }, 'rack=z'), key({ rack: 'b' }, 'rack=z'));
});
