/** The state of the world. Numbers are the rules of the xDS protocol as the project counts them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Any, anyUnpack } from '@bufbuild/protobuf/wkt';
import { ClusterSchema } from '../../src/gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { TYPE_URL } from '../../src/xds/resource.ts';
import type { SotwStream } from './client.ts';
import { assignment, cluster, raw, resourcesOf, startServer, withTypes } from './fixture.ts';

const node = { id: 'n1' };
const { cluster: CLUSTER, endpoint: ENDPOINT, listener: LISTENER, secret: SECRET } = TYPE_URL;

type SotwResponse = Awaited<ReturnType<SotwStream['next']>>;

const nameOf = (any: Any): string =>
  anyUnpack(any, ClusterSchema)?.name ?? anyUnpack(any, ClusterLoadAssignmentSchema)?.clusterName ?? any.typeUrl;
const names = ({ resources }: SotwResponse): string[] => resources.map(nameOf).sort();

async function accept(stream: SotwStream, resourceNames: readonly string[] = []): Promise<SotwResponse> {
  const response = await stream.next();
  const { typeUrl, versionInfo, nonce } = response;
  stream.send({ typeUrl, versionInfo, responseNonce: nonce, resourceNames: [...resourceNames] });
  return response;
}

test('clusters always come complete, and an empty set too (21)', async (t) => {
  const resources = resourcesOf({ cluster: [cluster('a'), cluster('b')] });
  const { server, sotw } = await startServer(t, resources);
  const stream = sotw();
  stream.send({ node, typeUrl: CLUSTER });
  const first = await accept(stream);
  assert.deepEqual(names(first), ['a', 'b']);
  server.setResources(resourcesOf({ cluster: [cluster('a'), cluster('b', 2)] }));
  const second = await accept(stream);
  assert.deepEqual(names(second), ['a', 'b']);
  assert.notEqual(second.versionInfo, first.versionInfo);
  server.setResources(resourcesOf({}));
  assert.deepEqual(names(await accept(stream)), []);
  await stream.silence();
});

test('a client of no clusters is told so', async (t) => {
  const { sotw } = await startServer(t);
  const stream = sotw();
  stream.send({ node, typeUrl: CLUSTER });
  assert.deepEqual(names(await accept(stream)), []);
  await stream.silence();
});

test('of endpoints only what changed is sent, to who asked for it (21, 22, 32)', async (t) => {
  const resources = resourcesOf({ endpoint: [assignment('a', 1), assignment('b', 1), assignment('c', 1)] });
  const { server, sotw } = await startServer(t, resources);
  const stream = sotw();
  stream.send({ node, typeUrl: ENDPOINT, resourceNames: ['a', 'b', 'unknown'] });
  assert.deepEqual(names(await accept(stream, ['a', 'b', 'unknown'])), ['a', 'b']);
  server.setResources(withTypes(resources, { endpoint: [assignment('a', 1), assignment('b', 2), assignment('c', 2)] }));
  assert.deepEqual(names(await accept(stream, ['a', 'b', 'unknown'])), ['b']);
  await stream.silence();
});

test('a request that names what is not there is served what is (15, 19)', async (t) => {
  const { server, sotw } = await startServer(t, resourcesOf({ secret: [raw('new', 'x')] }));
  const stream = sotw();
  stream.send({ node, typeUrl: SECRET, resourceNames: ['old', 'new'] });
  assert.equal((await accept(stream, ['old', 'new'])).resources.length, 1);
  server.setResources(resourcesOf({ secret: [raw('new', 'x'), raw('old', 'y')] }));
  assert.equal(Buffer.from((await accept(stream, ['old', 'new'])).resources[0]?.value ?? []).toString(), 'y');
});

test('a request with another nonce than the last is not heard, except the first (6)', async (t) => {
  const resources = resourcesOf({ endpoint: [assignment('a', 1), assignment('b', 1)] });
  const { server, sotw } = await startServer(t, resources);
  const stream = sotw();
  stream.send({ node, typeUrl: ENDPOINT, resourceNames: ['a'], responseNonce: 'from-before', versionInfo: 'x' });
  const first = await stream.next();
  assert.deepEqual(names(first), ['a']);
  stream.send({ typeUrl: ENDPOINT, resourceNames: ['a', 'b'], responseNonce: 'stale' });
  stream.send({ typeUrl: ENDPOINT, resourceNames: ['a', 'b'] });
  await stream.silence();
  assert.equal(server.status().counters.stale, 2);
  assert.equal(server.status().clients[0]?.types[ENDPOINT]?.subscribed, 1);
  stream.send({
    typeUrl: ENDPOINT,
    resourceNames: ['a', 'b'],
    responseNonce: first.nonce,
    versionInfo: first.versionInfo,
  });
  assert.deepEqual(names(await stream.next()), ['b']);
});

test('a shorter list unsubscribes; a name that comes back is sent again (10, 13, 18)', async (t) => {
  const resources = resourcesOf({ endpoint: [assignment('a', 1), assignment('b', 1)] });
  const { server, sotw } = await startServer(t, resources);
  const stream = sotw();
  stream.send({ node, typeUrl: ENDPOINT, resourceNames: ['a', 'b'] });
  const first = await stream.next();
  // The change waits for the answer, which no longer names b.
  server.setResources(resourcesOf({ endpoint: [assignment('a', 2), assignment('b', 2)] }));
  stream.send({ typeUrl: ENDPOINT, resourceNames: ['a'], responseNonce: first.nonce, versionInfo: first.versionInfo });
  const second = await accept(stream, ['a']);
  assert.deepEqual(names(second), ['a']);
  stream.send({ typeUrl: ENDPOINT, resourceNames: ['a', 'b'], responseNonce: second.nonce });
  assert.deepEqual(names(await accept(stream, ['a', 'b'])), ['b']);
  await stream.silence();
});

test('no names after names mean nothing, and never everything again (12)', async (t) => {
  const { server, sotw } = await startServer(t, resourcesOf({ cluster: [cluster('a'), cluster('b')] }));
  const stream = sotw();
  stream.send({ node, typeUrl: CLUSTER });
  const all = await stream.next();
  assert.deepEqual(names(all), ['a', 'b']);
  stream.send({ typeUrl: CLUSTER, resourceNames: ['*', 'a'], responseNonce: all.nonce });
  const both = await stream.next();
  assert.deepEqual(names(both), ['a', 'b']);
  stream.send({ typeUrl: CLUSTER, resourceNames: ['a'], responseNonce: both.nonce });
  const one = await stream.next();
  assert.deepEqual(names(one), ['a']);
  stream.send({ typeUrl: CLUSTER, responseNonce: one.nonce });
  const none = await stream.next();
  assert.deepEqual(names(none), []);
  stream.send({ typeUrl: CLUSTER, responseNonce: none.nonce });
  await stream.silence();
  server.setResources(resourcesOf({ cluster: [cluster('a', 2), cluster('b', 2)] }));
  await stream.silence();
});

test('what is on demand is in the state of the world of who names it (12, 21, 26)', async (t) => {
  const lazy = (seconds = 1) => ({ ...cluster('lazy', seconds), onDemand: true as const });
  const { server, sotw } = await startServer(t, resourcesOf({ cluster: [cluster('a'), lazy()] }));
  const [stream, other] = [sotw(), sotw()];
  stream.send({ node, typeUrl: CLUSTER });
  const first = await stream.next();
  assert.deepEqual(names(first), ['a']);
  other.send({ node: { id: 'n2' }, typeUrl: CLUSTER, versionInfo: first.versionInfo });
  await other.silence();
  const wanted = ['*', 'lazy'];
  stream.send({ typeUrl: CLUSTER, resourceNames: wanted, responseNonce: first.nonce });
  const both = await accept(stream, wanted);
  assert.deepEqual(names(both), ['a', 'lazy']);

  server.setResources(resourcesOf({ cluster: [cluster('a'), lazy(2)] }));
  const changed = await accept(stream, wanted);
  assert.deepEqual(names(changed), ['a', 'lazy']);
  assert.notEqual(changed.versionInfo, both.versionInfo);
  await other.silence();
  server.setResources(resourcesOf({ cluster: [cluster('a')] }));
  assert.deepEqual(names(await accept(stream, wanted)), ['a']);
  server.setResources(resourcesOf({ cluster: [cluster('a'), lazy()] }));
  const again = await stream.next();
  assert.deepEqual(names(again), ['a', 'lazy']);
  await other.silence();
  stream.send({ typeUrl: CLUSTER, resourceNames: ['*'], responseNonce: again.nonce });
  assert.deepEqual(names(await accept(stream, ['*'])), ['a'], 'no longer named');

  // The same content, for everybody; and back.
  server.setResources(resourcesOf({ cluster: [cluster('a'), cluster('lazy')] }));
  assert.deepEqual(names(await accept(other)), ['a', 'lazy']);
  server.setResources(resourcesOf({ cluster: [cluster('a'), lazy()] }));
  assert.deepEqual(names(await accept(other)), ['a']);
});

test('an empty first request for endpoints is not a wildcard (12)', async (t) => {
  const { sotw } = await startServer(t, resourcesOf({ endpoint: [assignment('a', 1)] }));
  const stream = sotw();
  stream.send({ node, typeUrl: ENDPOINT });
  await stream.silence();
});

test('a reconnecting client is spared an unchanged wildcard, and always answered by name (25, 26)', async (t) => {
  const resources = resourcesOf({ cluster: [cluster('a')], endpoint: [assignment('a', 1)] });
  const first = await startServer(t, resources);
  const before = first.sotw();
  before.send({ node, typeUrl: CLUSTER });
  const { versionInfo } = await accept(before);
  before.send({ typeUrl: ENDPOINT, resourceNames: ['a'] });
  const endpoints = await accept(before, ['a']);

  const { server, sotw } = await startServer(
    t,
    resourcesOf({ cluster: [cluster('a')], endpoint: [assignment('a', 1)] }),
  );
  const stream = sotw();
  stream.send({ node, typeUrl: CLUSTER, versionInfo });
  await stream.silence();
  stream.send({ typeUrl: ENDPOINT, resourceNames: ['a'], versionInfo: endpoints.versionInfo });
  assert.deepEqual(names(await accept(stream, ['a'])), ['a']);
  server.setResources(withTypes(resources, { cluster: [cluster('a', 2)] }));
  assert.deepEqual(names(await accept(stream)), ['a']);
});

test('acknowledgements of ten thousand names are taken, and big responses sent (28)', async (t) => {
  const many = Array.from({ length: 10_000 }, (_, i) => `outbound|9080|some-long-subset|service-${i}.default.mesh`);
  const resources = resourcesOf({ endpoint: many.map((name) => assignment(name, 1)) });
  const { server, sotw, delta } = await startServer(t, resources);
  const stream = sotw();
  stream.send({ node, typeUrl: ENDPOINT, resourceNames: many });
  assert.equal((await accept(stream, many)).resources.length, many.length);
  const changed = many[7777] ?? '';
  server.setResources(resourcesOf({ endpoint: many.map((name) => assignment(name, name === changed ? 2 : 1)) }));
  assert.deepEqual(names(await accept(stream, many)), [changed]);
  // A name more in a list that is otherwise as before.
  const stillThere = many.slice(0, 9999);
  server.setResources(resources);
  const back = await stream.next();
  stream.send({ typeUrl: ENDPOINT, resourceNames: stillThere, responseNonce: back.nonce });
  await stream.silence(300);
  assert.equal(server.status().clients[0]?.types[ENDPOINT]?.subscribed, 9999);

  const other = delta();
  const initialResourceVersions = Object.fromEntries(many.map((name) => [name, 'x'.repeat(500)]));
  other.send({ node: { id: 'n2' }, typeUrl: ENDPOINT, resourceNamesSubscribe: many, initialResourceVersions });
  assert.equal((await other.next()).resources.length, many.length);
});

test('a client that asks for too much is refused, and costs nothing more', async (t) => {
  const { server, sotw, delta } = await startServer(t, resourcesOf({}), { maxNames: 3 });
  const tooMany = ['a', 'b', 'c', 'd'];
  const streams = [sotw(), sotw()];
  streams[0]?.send({ node, typeUrl: ENDPOINT, resourceNames: tooMany });
  streams[1]?.send({ node, typeUrl: LISTENER, resourceNames: tooMany });
  const incremental = delta();
  incremental.send({ node, typeUrl: ENDPOINT, resourceNamesSubscribe: tooMany });
  for (const stream of [...streams, incremental]) assert.equal((await stream.ended).code, 8, 'RESOURCE_EXHAUSTED');
  assert.deepEqual(server.status().clients, []);
});
