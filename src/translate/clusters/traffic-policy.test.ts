import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DestinationRule, LoadBalancer, Subset, TrafficPolicy } from '../../model/destination-rule.ts';
import type { Service } from '../../model/service.ts';
import { chooseRules, effectivePolicy, joinRules, NO_BLOCKS } from './traffic-policy.ts';

const SERVICE: Service = {
  host: 'reviews.default.mesh',
  namespace: 'default',
  name: 'reviews',
  consulName: undefined,
  aliases: [],
  ports: [],
  tls: 'plain',
  identities: [],
  resolution: 'EDS',
  external: false,
};
const RANDOM: LoadBalancer = { kind: 'simple', simple: 'RANDOM' };
const ROUND_ROBIN: LoadBalancer = { kind: 'simple', simple: 'ROUND_ROBIN' };
const CLIENT = { namespace: 'shop', rootNamespace: 'root', labels: { app: 'web', tier: 'front' } };

function subset(name: string, trafficPolicy?: TrafficPolicy): Subset {
  return { name, labels: { version: name }, trafficPolicy };
}

function rule(namespace: string, host: string, rest: Partial<DestinationRule> = {}): DestinationRule {
  const meta = { kind: 'DestinationRule', namespace, name: host, labels: {}, source: { file: 'x', line: 1 }, age: 0 };
  return { meta, host, trafficPolicy: undefined, subsets: [], exportTo: [], ...rest };
}

const chosen = (...rules: readonly DestinationRule[]): readonly string[] =>
  chooseRules(rules, SERVICE, CLIENT).map(({ meta }) => `${meta.namespace} ${meta.name}`);

test('the client’s namespace ends the search, then the service’s, then the root', () => {
  const root = rule('root', SERVICE.host);
  const own = rule('default', SERVICE.host);
  const client = rule('shop', '*.default.mesh');
  assert.deepEqual(chosen(root, own, client), ['shop *.default.mesh']);
  assert.deepEqual(chosen(root, own), [`default ${SERVICE.host}`]);
  assert.deepEqual(chosen(root), [`root ${SERVICE.host}`]);
  assert.deepEqual(chosen(rule('elsewhere', SERVICE.host)), []);
});

test('to clients of the root namespace its rules for itself come first, those for the mesh last', () => {
  const client = { ...CLIENT, namespace: 'root' };
  const own = rule('default', SERVICE.host);
  const forMesh = rule('root', SERVICE.host);
  const forItself = rule('root', '*.mesh', { exportTo: ['.'] });
  assert.deepEqual(chooseRules([forMesh, own], SERVICE, client), [own]);
  assert.deepEqual(chooseRules([forMesh, own, forItself], SERVICE, client), [forItself]);
  const byDefault = { ...client, defaultExportTo: ['.'] };
  assert.deepEqual(chooseRules([own, forMesh], SERVICE, byDefault), [forMesh]);
});

test('a rule that is not exported to the client does not count', () => {
  assert.deepEqual(chosen(rule('default', SERVICE.host, { exportTo: ['.'] }), rule('root', SERVICE.host)), [
    `root ${SERVICE.host}`,
  ]);
  assert.deepEqual(chosen(rule('shop', SERVICE.host, { exportTo: ['.'] })), [`shop ${SERVICE.host}`]);
});

test('the most specific host, and all rules for it', () => {
  const wildcard = rule('default', '*.mesh');
  const first = rule('default', SERVICE.host, { subsets: [subset('v1')] });
  const second = rule('default', SERVICE.host, { subsets: [subset('v1'), subset('v2')] });
  assert.deepEqual(chooseRules([wildcard, first, second], SERVICE, CLIENT), [first, second]);
});

test('joined rules: the first definition of a subset and the oldest policy hold', () => {
  const [v1, other, v2] = [subset('v1'), subset('v1'), subset('v2')];
  const trafficPolicy = { ...NO_BLOCKS, loadBalancer: RANDOM, portLevelSettings: [] };
  const joined = joinRules([
    rule('a', 'h', { subsets: [v1] }),
    rule('a', 'h', { subsets: [other, v2], trafficPolicy }),
    rule('a', 'h', { trafficPolicy: { ...trafficPolicy, loadBalancer: ROUND_ROBIN } }),
  ]);
  assert.equal(joined.subsets.get('v1'), v1);
  assert.deepEqual([...joined.subsets.keys()], ['v1', 'v2']);
  assert.equal(joined.trafficPolicy, trafficPolicy);
});

test('settings of a port replace all blocks, unset ones included', () => {
  const outlierDetection = { ...({} as NonNullable<TrafficPolicy['outlierDetection']>) };
  const policy = {
    trafficPolicy: {
      ...NO_BLOCKS,
      loadBalancer: RANDOM,
      portLevelSettings: [{ ...NO_BLOCKS, port: 80, outlierDetection }],
    },
    subsets: new Map<string, Subset>(),
  };
  assert.equal(effectivePolicy(policy, 80, undefined).loadBalancer, undefined);
  assert.equal(effectivePolicy(policy, 80, undefined).outlierDetection, outlierDetection);
  assert.equal(effectivePolicy(policy, 81, undefined).loadBalancer, RANDOM);
});

test('a subset overrides block by block, its port settings all of them', () => {
  const outlierDetection = { ...({} as NonNullable<TrafficPolicy['outlierDetection']>) };
  const own = {
    ...NO_BLOCKS,
    loadBalancer: ROUND_ROBIN,
    portLevelSettings: [{ ...NO_BLOCKS, port: 80 }],
  };
  const policy = {
    trafficPolicy: { ...NO_BLOCKS, loadBalancer: RANDOM, outlierDetection, portLevelSettings: [] },
    subsets: new Map([['v1', subset('v1', own)]]),
  };
  const at81 = effectivePolicy(policy, 81, 'v1');
  assert.equal(at81.loadBalancer, ROUND_ROBIN);
  assert.equal(at81.outlierDetection, outlierDetection);
  const at80 = effectivePolicy(policy, 80, 'v1');
  assert.equal(at80.loadBalancer, undefined);
  assert.equal(at80.outlierDetection, undefined);
});

test('a rule that selects the client goes before one for all, and counts for no other client', () => {
  const all = rule('shop', SERVICE.host);
  const selecting = rule('shop', SERVICE.host, { workloadSelector: { app: 'web' } });
  const other = rule('shop', SERVICE.host, { workloadSelector: { app: 'api' } });
  assert.deepEqual(chooseRules([all, other, selecting], SERVICE, CLIENT), [selecting]);
  assert.deepEqual(chooseRules([other, all], SERVICE, CLIENT), [all]);
  const foreign = rule('default', SERVICE.host, { workloadSelector: { app: 'web' } });
  assert.deepEqual(chooseRules([foreign], SERVICE, CLIENT), []);
});

test('a rule without exportTo is seen where the mesh says', () => {
  const own = rule('default', SERVICE.host);
  assert.deepEqual(chooseRules([own], SERVICE, { ...CLIENT, defaultExportTo: ['.'] }), []);
  assert.deepEqual(chooseRules([own], SERVICE, { ...CLIENT, defaultExportTo: ['shop'] }), [own]);
});

test('the mesh’s default policy is what rules begin with', () => {
  const pool = { maxConnections: 3 } as NonNullable<TrafficPolicy['connectionPool']>;
  const other = { maxConnections: 9 } as NonNullable<TrafficPolicy['connectionPool']>;
  const defaults = { connectionPool: pool };
  const none = joinRules([]);
  assert.equal(effectivePolicy(none, 80, undefined, defaults).connectionPool, pool);
  const trafficPolicy: TrafficPolicy = {
    ...NO_BLOCKS,
    connectionPool: other,
    portLevelSettings: [{ ...NO_BLOCKS, port: 81, loadBalancer: RANDOM }],
    proxyProtocol: 'V1',
  };
  const joined = joinRules([rule('default', SERVICE.host, { trafficPolicy })]);
  assert.deepEqual(effectivePolicy(joined, 80, undefined, defaults), {
    ...NO_BLOCKS,
    connectionPool: other,
    proxyProtocol: 'V1',
  });
  assert.deepEqual(effectivePolicy(joined, 81, undefined, defaults), {
    ...NO_BLOCKS,
    connectionPool: pool,
    loadBalancer: RANDOM,
    proxyProtocol: 'V1',
  });
});
