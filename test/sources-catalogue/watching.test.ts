// The watcher's manners, with a Consul that a test scripts: indexes, staleness, errors, limits.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TrysailError } from '../../src/lib/errors.ts';
import { silentLog } from '../../src/lib/log.ts';
import type { CatalogueState } from '../../src/sources/catalogue-state.ts';
import { CatalogueWatcher } from '../../src/sources/catalogue-watcher.ts';
import { eventually } from '../support/eventually.ts';
import { ScriptedConsul } from './scripted-consul.ts';

function start(t: TestContext, holdMs = 60_000, maxWatches = 64) {
  const consul = new ScriptedConsul();
  const states: CatalogueState[] = [];
  const watcher = new CatalogueWatcher({
    client: consul,
    config: { sentinelService: 'consul', massCriticalShare: 0.7, holdMs },
    log: silentLog(),
    onChange: (state) => states.push(state),
    maxWatches,
  });
  t.after(() => watcher.stop());
  const nodes = (service = 'web'): readonly string[] | undefined =>
    watcher.state.services.get(service)?.map((i) => i.node);
  return { consul, watcher, states, nodes };
}

const codes = (state: CatalogueState): readonly string[] => state.diagnostics.map((d) => d.code);

test('the next question carries the index; an answer with nothing new causes no change', async (t) => {
  const { consul, watcher, states, nodes } = start(t);
  watcher.setInterest(new Set(['web']));
  const first = await consul.next('web');
  assert.deepEqual([first.options.index, first.options.stale, first.options.cached], [0, true, true]);
  first.answer(7, ['a', 'b']);
  const second = await consul.next('web');
  assert.equal(second.options.index, 7);
  assert.deepEqual(nodes(), ['a', 'b']);
  assert.equal(states.length, 1);
  second.answer(8, ['b', 'a']);
  assert.equal((await consul.next('web')).options.index, 8);
  assert.equal(states.length, 1);
  assert.equal(watcher.state, states[0]);
  const [status] = watcher.status().services;
  assert.equal(status?.index, 8);
  assert.equal(status?.instances, 2);
  assert.equal(watcher.status().connected, true);
});

test('an index that is missing does not become a busy loop', async (t) => {
  const { consul, watcher } = start(t);
  watcher.setInterest(new Set(['web']));
  (await consul.next('web')).answer(0, ['a']);
  let answeredAtMs = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < 4; i += 1) {
    const question = await consul.next('web');
    assert.equal(question.options.index, 1, 'blocking');
    assert.ok(question.askedAtMs - answeredAtMs >= 5, 'a pause');
    answeredAtMs = performance.now();
    question.answer(0, ['a']);
  }
});

test('an index that goes backwards is taken from the leader alone', async (t) => {
  const { consul, watcher, nodes } = start(t);
  watcher.setInterest(new Set(['web']));
  (await consul.next('web')).answer(50, ['a', 'b']);
  // A follower that lags: its old content must not come through.
  (await consul.next('web')).answer(40, ['old']);
  const toLeader = await consul.next('web');
  assert.deepEqual(nodes(), ['a', 'b']);
  assert.deepEqual(
    [toLeader.options.index, toLeader.options.stale, toLeader.options.cached],
    [0, undefined, undefined],
  );
  toLeader.answer(51, ['a', 'b', 'c']);
  const after = await consul.next('web');
  assert.deepEqual([after.options.index, after.options.stale], [51, true]);
  assert.deepEqual(nodes(), ['a', 'b', 'c']);
  assert.deepEqual(codes(watcher.state), []);

  // A Consul that has lost its data: the leader itself has a low index, and what is missing is kept for a time.
  const known = watcher.state.services;
  after.answer(3, ['a']);
  (await consul.next('web')).answer(4, ['a']);
  const restarted = await consul.next('web');
  assert.equal(restarted.options.index, 4);
  assert.deepEqual(nodes(), ['a', 'b', 'c']);
  assert.deepEqual(codes(watcher.state), ['TRY0606']);
  restarted.answer(5, ['a', 'b', 'c']);
  await eventually('all are back', () => watcher.state.diagnostics.length === 0);
  assert.equal(watcher.state.services, known, 'nothing is new of it');
});

test('lost instances are given up after their time', async (t) => {
  // They are kept first, however long this process stands still; the timer goes by the machine's clock.
  t.mock.method(performance, 'now', () => 1000);
  const { consul, watcher, states, nodes } = start(t, 200);
  watcher.setInterest(new Set(['web']));
  (await consul.next('web')).answer(50, ['a', 'b']);
  (await consul.next('web')).fail(new TrysailError('CONSUL_UNREACHABLE', 'away', { remedy: 'start it' }));
  await eventually('the error is told', () => codes(watcher.state).includes('TRY0604'));
  assert.equal(watcher.status().services[0]?.error?.code, 'CONSUL_UNREACHABLE');
  assert.equal(watcher.status().connected, false);
  const again = await consul.next('web');
  assert.equal(again.options.index, 0, 'starts over');
  again.answer(60, ['a']);
  await eventually('given up', () => nodes()?.length === 1);
  assert.deepEqual(codes(watcher.state), []);
  const kept = states.find((state) => codes(state).includes('TRY0606'));
  assert.deepEqual(
    kept?.services.get('web')?.map(({ node }) => node),
    ['a', 'b'],
  );
});

test('a server without a leader, or behind it, does not replace what is known', async (t) => {
  for (const change of [{ knownLeader: false }, { lastContactMs: 60_000 }]) {
    const { consul, watcher, nodes } = start(t);
    watcher.setInterest(new Set(['web']));
    (await consul.next('web')).answer(5, ['a']);
    (await consul.next('web')).answer(6, [], change);
    const question = await consul.next('web');
    assert.deepEqual([question.options.index, question.options.stale], [0, undefined]);
    assert.deepEqual(nodes(), ['a']);
    question.answer(6, ['a', 'b']);
    await eventually('the leader counts', () => nodes()?.length === 2);
  }
});

test('empty counts only with a sentinel that is seen after it; filtered answers never are empty', async (t) => {
  const { consul, watcher, nodes } = start(t, 0);
  watcher.setInterest(new Set(['web']));
  (await consul.next('web')).answer(5, ['a']);
  (await consul.next('web')).answer(6, []);
  (await consul.next('consul')).answer(1, []);
  await eventually('the alert', () => codes(watcher.state).includes('TRY0602'));
  assert.deepEqual(nodes(), ['a']);
  (await consul.next('web')).answer(7, [], { filteredByAcl: true });
  const again = await consul.next('web');
  assert.deepEqual(nodes(), ['a']);
  again.answer(7, []);
  (await consul.next('consul')).answer(1, ['server']);
  await eventually('believed', () => nodes()?.length === 0);
  assert.deepEqual(codes(watcher.state), []);
  // Empty as before: the sentinel is not asked again.
  const question = await consul.next('web');
  const { asked } = consul;
  question.answer(8, []);
  await consul.next('web');
  assert.equal(consul.asked, asked + 1);
});

test('a last good state holds until answers come, and what is of no interest goes', async (t) => {
  const earlier = start(t);
  earlier.watcher.setInterest(new Set(['web', 'db']));
  (await earlier.consul.next('web')).answer(1, ['a', 'b']);
  (await earlier.consul.next('db')).answer(1, ['c']);
  await eventually('both', () => earlier.watcher.state.services.size === 2);
  const { consul, watcher, states, nodes } = start(t);
  watcher.restore(earlier.watcher.state);
  assert.equal(states.length, 0);
  watcher.setInterest(new Set(['web', 'new']));
  await eventually('db is dropped', () => !watcher.state.services.has('db'));
  assert.deepEqual(nodes(), ['a', 'b']);
  assert.equal(nodes('new'), undefined);
  const restored = watcher.state.services.get('web');
  (await consul.next('web')).answer(9, ['a', 'b']);
  await consul.next('web');
  assert.equal(watcher.state.services.get('web'), restored, 'an equal answer keeps the restored objects');
  (await consul.next('web')).answer(10, ['b']);
  await eventually('a real answer replaces it', () => nodes()?.length === 1);
});

test('more services than watches: those in use stay, the rest is named', async (t) => {
  const { consul, watcher } = start(t, 0, 2);
  watcher.setInterest(new Set(['m', 'z']));
  await consul.next('m');
  watcher.setInterest(new Set(['a', 'b', 'm', 'z']));
  await eventually('told', () => codes(watcher.state).includes('TRY0601'));
  assert.deepEqual(watcher.status().notWatched, ['a', 'b']);
  assert.match(watcher.state.diagnostics[0]?.message ?? '', /a, b/);
  watcher.setInterest(new Set(['a', 'm']));
  await consul.next('a');
  await eventually('no longer told', () => watcher.state.diagnostics.length === 0);
});

test('first reads are few at a time', async (t) => {
  const { consul, watcher } = start(t);
  const names = Array.from({ length: 20 }, (_, i) => `s${i}`);
  watcher.setInterest(new Set(names));
  for (const name of names.toSorted()) (await consul.next(name)).answer(1, ['a']);
  await eventually('all', () => watcher.state.services.size === 20);
  assert.equal(consul.mostFirst, 4);
});

test('a change that cannot be processed does not end the watch', async (t) => {
  const consul = new ScriptedConsul();
  let changes = 0;
  const watcher = new CatalogueWatcher({
    client: consul,
    config: { sentinelService: 'consul', massCriticalShare: 0.7, holdMs: 0 },
    log: silentLog(),
    onChange: () => {
      changes += 1;
      throw new Error('a defect of the owner');
    },
  });
  t.after(() => watcher.stop());
  watcher.setInterest(new Set(['web']));
  (await consul.next('web')).answer(1, ['a']);
  (await consul.next('web')).answer(2, ['b']);
  await eventually('both are told', () => changes === 2);
});
