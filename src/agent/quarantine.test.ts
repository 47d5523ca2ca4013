import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Resource, type Resources, TYPE_URL } from '../xds/resource.ts';
import { Quarantine } from './quarantine.ts';

const resource = (name: string, text: string): Resource => ({ name, value: Buffer.from(text) });
const clusters = (...list: readonly Resource[]): Resources =>
  new Map([[TYPE_URL.cluster, new Map(list.map((r) => [r.name, r]))]]);
const served = (resources: Resources): readonly string[] =>
  [...(resources.get(TYPE_URL.cluster)?.values() ?? [])].map((r) => `${r.name}=${Buffer.from(r.value).toString()}`);

test('a refused resource is served in its last accepted version, the others as they are', () => {
  const quarantine = new Quarantine();
  quarantine.apply(clusters(resource('a', '1'), resource('b', '1')));
  quarantine.accept(TYPE_URL.cluster);
  const wanted = clusters(resource('a', '2'), resource('b', '2'));
  assert.equal(quarantine.apply(wanted), wanted);
  assert.equal(quarantine.refuse({ typeUrl: TYPE_URL.cluster, names: ['a'], message: 'bad a' }), true);
  assert.deepEqual(served(quarantine.apply(wanted)), ['a=1', 'b=2']);
  assert.match(quarantine.diagnostics[0]?.message ?? '', /bad a/);
  assert.equal(quarantine.diagnostics[0]?.object, 'Cluster a');
});

test('a refused resource without an accepted version is not taken away: Envoy may serve with one from before', () => {
  const quarantine = new Quarantine();
  const wanted = clusters(resource('a', '1'), resource('b', '1'));
  quarantine.apply(wanted);
  quarantine.refuse({ typeUrl: TYPE_URL.cluster, names: ['a'], message: 'bad' });
  assert.deepEqual(served(quarantine.apply(wanted)), ['a=1', 'b=1']);
  assert.equal(quarantine.diagnostics.length, 1);
  // What Envoy answers for the others makes no accepted version of it.
  quarantine.accept(TYPE_URL.cluster);
  const next = clusters(resource('a', '1'), resource('b', '2'));
  quarantine.apply(next);
  quarantine.refuse({ typeUrl: TYPE_URL.cluster, names: ['a', 'b'], message: 'bad' });
  assert.deepEqual(served(quarantine.apply(next)), ['a=1', 'b=1']);
});

test('a new version of a refused resource is tried again and ends the quarantine', () => {
  const quarantine = new Quarantine();
  const wanted = clusters(resource('a', '1'));
  quarantine.apply(wanted);
  quarantine.refuse({ typeUrl: TYPE_URL.cluster, names: ['a'], message: 'bad' });
  quarantine.apply(wanted);
  const mended = clusters(resource('a', '2'));
  assert.equal(quarantine.apply(mended), mended);
  assert.deepEqual(quarantine.diagnostics, []);
});

test('a listener whose port somebody else has is told with what to do about the port', () => {
  const quarantine = new Quarantine();
  quarantine.apply(clusters(resource('a', '1')));
  quarantine.refuse({
    typeUrl: TYPE_URL.cluster,
    names: ['a'],
    message: "cannot bind '127.240.0.1:9080': Address already in use",
  });
  assert.match(quarantine.diagnostics[0]?.remedy ?? '', /^Another program has port 9080 at 127\.240\.0\.1/);
});

test('a rejection that names nobody is reported until the type is accepted', () => {
  const quarantine = new Quarantine();
  quarantine.apply(clusters(resource('a', '1')));
  assert.equal(quarantine.refuse({ typeUrl: TYPE_URL.cluster, names: [], message: 'odd' }), false);
  assert.equal(quarantine.diagnostics.length, 1);
  quarantine.accept(TYPE_URL.cluster);
  assert.deepEqual(quarantine.diagnostics, []);
});
