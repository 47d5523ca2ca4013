// The watcher on a real Consul: changes, odd entries, restarts, mass failure.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createConsulClient } from '../../src/consul/client.ts';
import { silentLog } from '../../src/lib/log.ts';
import type { CatalogueState } from '../../src/sources/catalogue-state.ts';
import { CatalogueWatcher } from '../../src/sources/catalogue-watcher.ts';
import { startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';

function start(t: TestContext, address: string, holdMs = 60_000) {
  const client = createConsulClient({ address });
  const states: CatalogueState[] = [];
  const watcher = new CatalogueWatcher({
    client,
    config: { sentinelService: 'consul', massCriticalShare: 0.7, holdMs },
    log: silentLog(),
    onChange: (state) => states.push(state),
  });
  t.after(() => {
    watcher.stop();
    client.close();
  });
  const put = async (path: string, body: unknown): Promise<void> => {
    const response = await fetch(`${address}/v1/catalog/${path}`, { method: 'PUT', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(await response.text());
  };
  // A leader removes nodes that carry serfHealth without being members, within a minute and whenever it is elected.
  const register = (node: string, service: string, serfHealth?: string, change: object = {}): Promise<void> =>
    put('register', {
      Node: node,
      Address: '10.0.0.1',
      Service: { Service: service, ID: service, Port: 8080, ...change },
      ...(serfHealth === undefined
        ? {}
        : { Check: { Node: node, CheckID: 'serfHealth', Name: 'gossip', Status: serfHealth } }),
    });
  const nodes = (service: string): readonly string[] | undefined =>
    watcher.state.services.get(service)?.map((i) => i.node);
  return { watcher, states, put, register, nodes };
}

test('what changes is new, what does not is shared; what is deregistered goes', async (t) => {
  const consul = await startConsul(t);
  const { watcher, register, put, nodes, states } = start(t, consul.address);
  for (const node of ['n1', 'n2']) for (const service of ['web', 'db']) await register(node, service);
  watcher.setInterest(new Set(['web', 'db']));
  await eventually('both', () => nodes('web')?.length === 2 && nodes('db')?.length === 2);
  const before = watcher.state;
  const seen = states.length;

  await register('n2', 'web', undefined, { Port: 9090 });
  await eventually('the new port', () => watcher.state.services.get('web')?.[1]?.port === 9090);
  assert.equal(watcher.state.services.get('db'), before.services.get('db'));
  assert.equal(watcher.state.services.get('web')?.[0], before.services.get('web')?.[0]);
  assert.equal(states.length, seen + 1);

  await put('register', {
    Node: 'n1',
    Address: '10.0.0.1',
    Check: { Node: 'n1', CheckID: 'web', ServiceID: 'web', Name: 'x', Status: 'critical' },
  });
  await eventually('critical', () => watcher.state.services.get('web')?.[0]?.status === 'critical');
  assert.equal(watcher.state.services.get('db')?.[0]?.status, 'passing');

  await put('deregister', { Node: 'n1', ServiceID: 'web' });
  await eventually('one left', () => nodes('web')?.join() === 'n2');
  await put('deregister', { Node: 'n2', ServiceID: 'web' });
  await eventually('a believed none', () => nodes('web')?.length === 0);
  assert.deepEqual(watcher.state.diagnostics, []);
});

test('odd entries that Consul’s catalogue accepts', async (t) => {
  const consul = await startConsul(t);
  const { watcher, put, register, nodes } = start(t, consul.address);
  await register('good', 'web');
  await put('register', { Node: 'bare', Address: '10.0.0.9', Service: { Service: 'web' } });
  await register('negative', 'web', undefined, { Port: -1 });
  await register('newline', 'web', undefined, { Address: 'a\nb' });
  const giant = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, 'x'.repeat(500)]));
  await register('giant', 'web', undefined, { Meta: giant, Tags: Array.from({ length: 300 }, (_, i) => `t${i}`) });
  watcher.setInterest(new Set(['web']));
  await eventually('the usable ones', () => assert.equal(nodes('web')?.join(), 'giant,good'));
  assert.ok(watcher.state.diagnostics.every((d) => d.code === 'TRY0605' && d.object === 'Consul service web'));
  assert.match(watcher.state.diagnostics.map((d) => d.message).join('\n'), /bare\/web": port 0/);
});

test('Consul goes away and comes back; what changes after that is seen', async (t) => {
  const consul = await startConsul(t);
  const { watcher, register, nodes } = start(t, consul.address);
  await register('n1', 'web');
  watcher.setInterest(new Set(['web']));
  await eventually('seen', () => nodes('web')?.length === 1);
  const before = watcher.state.services;
  await consul.child.stop('SIGKILL');
  await eventually('told', () => watcher.state.diagnostics.some((d) => d.code === 'TRY0604'));
  assert.equal(watcher.state.services, before);
  assert.match(watcher.state.diagnostics[0]?.message ?? '', new RegExp(consul.address));
  await consul.restart();
  await eventually('no longer told', () => watcher.state.diagnostics.length === 0);
  assert.equal(watcher.state.services, before);
  await register('n2', 'web');
  await eventually('the change', () => nodes('web')?.length === 2);
});

test('Consul restarts and forgets: endpoints are kept until they are registered again, changes are seen', async (t) => {
  const consul = await startConsul(t);
  const { watcher, register, nodes } = start(t, consul.address);
  // So that the index before is far above the index after.
  for (let i = 0; i < 50; i += 1) await register('n1', 'web', undefined, { Port: 8000 + i });
  await register('n2', 'web');
  watcher.setInterest(new Set(['web']));
  await eventually('seen', () => nodes('web')?.length === 2);
  await consul.restart({ forget: true });
  await eventually('kept', () => watcher.state.diagnostics.some((d) => d.code === 'TRY0606'));
  assert.equal(nodes('web')?.length, 2);
  await register('n1', 'web', undefined, { Port: 9999 });
  await eventually('one is back', () => watcher.state.services.get('web')?.[0]?.port === 9999);
  assert.equal(nodes('web')?.join(), 'n1,n2');
  await register('n2', 'web');
  await eventually('all are back', () => watcher.state.diagnostics.length === 0);
  await register('n3', 'web');
  await eventually('a change', () => nodes('web')?.length === 3);
});

test('most nodes declared dead at once: endpoints are held with an alert, and given up after the hold', async (t) => {
  const consul = await startConsul(t);
  const { watcher, register } = start(t, consul.address, 6000);
  const all = ['n1', 'n2', 'n3', 'n4'];
  const statuses = (): string => (watcher.state.services.get('web') ?? []).map((i) => i.status).join();
  watcher.setInterest(new Set(['web']));
  await eventually('seen', async () => {
    // A leader that has just been elected removes them once more.
    for (const node of all) await register(node, 'web', 'passing');
    return statuses() === 'passing,passing,passing,passing';
  });
  // One by one, below the share.
  await register('n4', 'web', 'critical');
  await eventually('one is believed', () => statuses() === 'passing,passing,passing,critical');
  await register('n4', 'web', 'passing');
  await eventually('back', () => statuses() === 'passing,passing,passing,passing');

  // In one transaction, so that no answer has only some of them.
  const dead = (node: string): object => ({ Node: node, CheckID: 'serfHealth', Name: 'gossip', Status: 'critical' });
  const set = all.slice(0, 3).map((node) => ({ Check: { Verb: 'set', Check: dead(node) } }));
  const { status } = await fetch(`${consul.address}/v1/txn`, { method: 'PUT', body: JSON.stringify(set) });
  assert.equal(status, 200);
  await eventually('the alert', () => watcher.state.diagnostics.some((d) => d.code === 'TRY0603'));
  assert.equal(statuses(), 'passing,passing,passing,passing');
  const { hold } = watcher.status();
  assert.equal(hold?.held, 3);
  assert.ok(hold.sinceMs <= Date.now() && hold.untilMs > hold.sinceMs);
  await eventually('given up', () => statuses() === 'critical,critical,critical,passing');
  assert.deepEqual(watcher.state.diagnostics, []);
});
