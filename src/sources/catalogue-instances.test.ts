import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HealthEntry, healthEntryOf } from '../consul/health.ts';
import { readInstances } from './catalogue-instances.ts';

function entry(node: string, change: { service?: object; checks?: object[]; node?: object } = {}): HealthEntry {
  return healthEntryOf({
    Node: { Node: node, Address: '10.0.0.1', Datacenter: 'dc1', ...change.node },
    Service: { ID: 'web', Port: 80, Tags: ['a'], Meta: { version: 'v1' }, ...change.service },
    Checks: change.checks ?? [{ CheckID: 'serfHealth', Status: 'passing' }],
  });
}

test('status is the worst of all checks, and a failed node is known', () => {
  const statuses = (...checks: object[]) => readInstances([entry('n', { checks })]);
  const service = { ServiceID: 'web' };
  assert.equal(statuses().instances[0]?.status, 'passing');
  assert.equal(statuses({ Status: 'warning' }, { Status: 'passing' }).instances[0]?.status, 'warning');
  assert.equal(statuses({ Status: 'warning' }, { ...service, Status: 'critical' }).instances[0]?.status, 'critical');
  assert.equal(statuses({ Status: 'maintenance' }).instances[0]?.status, 'critical');
  assert.deepEqual([...statuses({ CheckID: 'serfHealth', Status: 'critical' }).gossipFailed], ['n/web']);
  assert.equal(statuses({ CheckID: 'serfHealth', ...service, Status: 'critical' }).gossipFailed.size, 0);
  assert.equal(statuses({ CheckID: '_node_maintenance', Status: 'critical' }).gossipFailed.size, 0);
});

test('what has not changed is the same object; a list that has not changed is the same array', () => {
  const first = readInstances([entry('b'), entry('a'), entry('c')]).instances;
  assert.deepEqual(
    first.map((i) => i.id),
    ['a/web', 'b/web', 'c/web'],
  );
  assert.equal(first[0]?.meta, first[1]?.meta, 'equal Meta is kept once');
  assert.equal(readInstances([entry('c'), entry('b'), entry('a')], first).instances, first);
  const changes = [
    { service: { Port: 81 } },
    { service: { Address: '10.0.0.2' } },
    { service: { Tags: ['b'] } },
    { service: { Meta: { version: 'v2' } } },
    { service: { Meta: {} } },
    { service: { Weights: { Passing: 3, Warning: 1 } } },
    { checks: [{ Status: 'critical' }] },
    { node: { Datacenter: 'dc2' } },
  ];
  for (const change of changes) {
    const next = readInstances([entry('a'), entry('b', change), entry('c')], first).instances;
    assert.notEqual(next, first, JSON.stringify(change));
    assert.equal(next[0], first[0]);
    assert.notEqual(next[1], first[1], JSON.stringify(change));
    assert.equal(next[2], first[2]);
  }
  assert.equal(readInstances([entry('a'), entry('b')], first).instances.length, 2);
});

test('odd entries are left out or cut, with the reason, and the others stay', () => {
  const reading = readInstances([
    entry('good'),
    entry('good'),
    entry('', {}),
    entry('noport', { service: { Port: 0 } }),
    entry('noaddress', { node: { Address: '' } }),
    entry('newline', { service: { Address: 'a\nb' } }),
  ]);
  assert.deepEqual(
    reading.instances.map((i) => i.id),
    ['good/web'],
  );
  assert.equal(reading.odd.length, 3, 'bounded');
  assert.match(reading.odd.join('\n'), /noport\/web": port 0/);

  const giant = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`key-${i}`, 'v']));
  const cut = readInstances([
    entry('meta', { service: { Meta: { long: 'x'.repeat(10_000), ...giant }, Tags: Array(500).fill('t') } }),
    entry('weights', { service: { Weights: { Passing: -5, Warning: 1e9 } } }),
  ]);
  assert.equal(Object.keys(cut.instances[0]?.meta ?? {}).length, 64);
  assert.equal(cut.instances[0]?.meta['long'], undefined);
  assert.equal(cut.instances[0]?.tags.length, 64);
  assert.deepEqual(cut.instances[1]?.weights, { passing: 0, warning: 65_535 });
  assert.match(cut.odd.join(), /beyond Consul’s limits/);
});
