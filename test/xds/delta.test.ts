/** The incremental protocol. Numbers are the rules of the xDS protocol as the project counts them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TYPE_URL } from '../../src/xds/resource.ts';
import type { DeltaStream } from './client.ts';
import { assignment, cluster, raw, resourcesOf, startServer, withTypes } from './fixture.ts';

const node = { id: 'n1' };
const { cluster: CLUSTER, endpoint: ENDPOINT, listener: LISTENER, route: ROUTE, secret: SECRET } = TYPE_URL;

type DeltaResponse = Awaited<ReturnType<DeltaStream['next']>>;
const names = (response: DeltaResponse): string[] => response.resources.map((r) => r.name).sort();

/** The next response, acknowledged. */
async function accept(stream: DeltaStream): Promise<DeltaResponse> {
  const response = await stream.next();
  stream.send({ typeUrl: response.typeUrl, responseNonce: response.nonce });
  return response;
}

test('a wildcard client gets all clusters once, and then only what changed (12, 22)', async (t) => {
  const resources = resourcesOf({ cluster: [cluster('a'), cluster('b')] });
  const { server, delta } = await startServer(t, resources);
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  const first = await accept(stream);
  assert.deepEqual(names(first), ['a', 'b']);
  assert.equal(first.resources[0]?.resource?.typeUrl, CLUSTER);
  await stream.silence();
  server.setResources(withTypes(resources, { cluster: [cluster('a'), cluster('b', 2)] }));
  assert.deepEqual(names(await accept(stream)), ['b']);
  // Other objects with the same bytes are no change.
  server.setResources(withTypes(resources, { cluster: [cluster('a'), cluster('b', 2)] }));
  await stream.silence();
});

test('a change that is undone before it is sent is not sent (22)', async (t) => {
  const resources = resourcesOf({ cluster: [cluster('a')] });
  const { server, delta } = await startServer(t, resources);
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  await accept(stream);
  server.setResources(withTypes(resources, { cluster: [cluster('a', 2)] }));
  server.setResources(withTypes(resources, { cluster: [cluster('a', 1)] }));
  await stream.silence();
});

test('a wildcard client of nothing is told so, and nobody else waits for an answer (12)', async (t) => {
  const { delta } = await startServer(t);
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  assert.deepEqual(names(await accept(stream)), []);
  stream.send({ typeUrl: ENDPOINT });
  await stream.silence();
});

test('no names mean everything only for clusters and listeners (12)', async (t) => {
  const { delta } = await startServer(t, resourcesOf({ endpoint: [assignment('a', 1)], route: [raw('r', 'x')] }));
  const stream = delta();
  stream.send({ node, typeUrl: ENDPOINT });
  stream.send({ typeUrl: ROUTE });
  await stream.silence();
});

test('a wildcard beside names lasts until it is unsubscribed, and does not come back (12)', async (t) => {
  const resources = resourcesOf({ cluster: [cluster('a'), cluster('b')] });
  const { server, delta } = await startServer(t, resources);
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  await accept(stream);
  stream.send({ typeUrl: CLUSTER, resourceNamesSubscribe: ['a'] });
  assert.deepEqual(names(await accept(stream)), ['a']);
  stream.send({ typeUrl: CLUSTER, resourceNamesUnsubscribe: ['*'] });
  await stream.silence();
  server.setResources(withTypes(resources, { cluster: [cluster('a', 2), cluster('b', 2)] }));
  assert.deepEqual(names(await accept(stream)), ['a']);
  stream.send({ typeUrl: CLUSTER, resourceNamesUnsubscribe: ['a'] });
  await stream.silence();
  server.setResources(withTypes(resources, { cluster: [cluster('a', 3), cluster('b', 3)] }));
  await stream.silence();
});

test('an explicit wildcard (12)', async (t) => {
  const { delta } = await startServer(t, resourcesOf({ listener: [raw('l', 'x')] }));
  const stream = delta();
  stream.send({ node, typeUrl: LISTENER, resourceNamesSubscribe: ['*'] });
  assert.deepEqual(names(await accept(stream)), ['l']);
});

test('a name that is added again is sent again (13, 14)', async (t) => {
  const { delta } = await startServer(t, resourcesOf({ endpoint: [assignment('a', 1), assignment('b', 1)] }));
  const stream = delta();
  stream.send({ node, typeUrl: ENDPOINT, resourceNamesSubscribe: ['a'] });
  await accept(stream);
  stream.send({ typeUrl: ENDPOINT, resourceNamesSubscribe: ['a'] });
  assert.deepEqual(names(await accept(stream)), ['a'], 'subscribed twice');
  stream.send({ typeUrl: ENDPOINT, resourceNamesUnsubscribe: ['a'] });
  stream.send({ typeUrl: ENDPOINT, resourceNamesSubscribe: ['a'] });
  assert.deepEqual(names(await accept(stream)), ['a'], 'removed and added');
});

test('a name beside the legacy wildcard is answered although it was sent (14)', async (t) => {
  const { delta } = await startServer(t, resourcesOf({ cluster: [cluster('a'), cluster('b')] }));
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  await accept(stream);
  stream.send({ typeUrl: CLUSTER, resourceNamesSubscribe: ['b'] });
  assert.deepEqual(names(await accept(stream)), ['b']);
});

test('an unknown name is answered at once, and sent when it appears (15, 32, 38)', async (t) => {
  const { server, delta } = await startServer(t, resourcesOf({ cluster: [cluster('a')] }));
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  await accept(stream);
  stream.send({ typeUrl: CLUSTER, resourceNamesSubscribe: ['later'] });
  const missing = await accept(stream);
  assert.deepEqual(missing.removedResources, ['later']);
  server.setResources(resourcesOf({ cluster: [cluster('a'), cluster('later')] }));
  assert.deepEqual(names(await accept(stream)), ['later']);
  stream.send({ typeUrl: ENDPOINT, resourceNamesSubscribe: ['e'] });
  assert.deepEqual((await accept(stream)).removedResources, ['e']);
  server.setResources(resourcesOf({ cluster: [cluster('a'), cluster('later')], endpoint: [assignment('other', 1)] }));
  await stream.silence();
});

test('what is on demand is sent to who names it, and is no part of everything (12, 17, 38)', async (t) => {
  const lazy = (seconds = 1) => ({ ...cluster('lazy', seconds), onDemand: true as const });
  const { server, delta } = await startServer(t, resourcesOf({ cluster: [cluster('a'), lazy()] }));
  const [stream, other] = [delta(), delta()];
  stream.send({ node, typeUrl: CLUSTER });
  assert.deepEqual(names(await accept(stream)), ['a']);
  other.send({ node: { id: 'n2' }, typeUrl: CLUSTER });
  assert.deepEqual(names(await accept(other)), ['a']);
  stream.send({ typeUrl: CLUSTER, resourceNamesSubscribe: ['lazy'] });
  assert.deepEqual(names(await accept(stream)), ['lazy']);

  server.setResources(resourcesOf({ cluster: [cluster('a'), lazy(2)] }));
  assert.deepEqual(names(await accept(stream)), ['lazy']);
  await other.silence();
  server.setResources(resourcesOf({ cluster: [cluster('a')] }));
  assert.deepEqual((await accept(stream)).removedResources, ['lazy']);
  server.setResources(resourcesOf({ cluster: [cluster('a'), lazy(2)] }));
  assert.deepEqual(names(await accept(stream)), ['lazy']);
  await other.silence();

  // The same content, for everybody; and back.
  server.setResources(resourcesOf({ cluster: [cluster('a'), cluster('lazy', 2)] }));
  assert.deepEqual(names(await accept(other)), ['lazy']);
  server.setResources(resourcesOf({ cluster: [cluster('a'), lazy(2)] }));
  assert.deepEqual((await accept(other)).removedResources, ['lazy']);
  await stream.silence();

  stream.send({ typeUrl: CLUSTER, resourceNamesUnsubscribe: ['lazy'] });
  assert.deepEqual((await accept(stream)).removedResources, ['lazy'], 'no longer named');
  await stream.silence();
});

test('a reconnecting client keeps what is on demand as long as it names it (24, 38)', async (t) => {
  const lazy = { ...cluster('lazy'), onDemand: true as const };
  const { delta } = await startServer(t, resourcesOf({ cluster: [cluster('a'), lazy] }));
  const old = delta();
  old.send({ node, typeUrl: CLUSTER, resourceNamesSubscribe: ['*', 'lazy'] });
  const initialResourceVersions = Object.fromEntries((await accept(old)).resources.map((r) => [r.name, r.version]));
  assert.deepEqual(Object.keys(initialResourceVersions).sort(), ['a', 'lazy']);
  const naming = delta();
  naming.send({ node, typeUrl: CLUSTER, resourceNamesSubscribe: ['*', 'lazy'], initialResourceVersions });
  await naming.silence();
  const other = delta();
  other.send({ node, typeUrl: CLUSTER, initialResourceVersions });
  assert.deepEqual((await accept(other)).removedResources, ['lazy']);
});

test('a secret that is not there is waited for in silence, unless told otherwise (16)', async (t) => {
  const { server, delta } = await startServer(t);
  const stream = delta();
  stream.send({ node, typeUrl: SECRET, resourceNamesSubscribe: ['s'] });
  await stream.silence();
  server.setResources(resourcesOf({ secret: [raw('s', 'one')] }));
  assert.deepEqual(names(await accept(stream)), ['s']);
  server.setResources(resourcesOf({}));
  await stream.silence();
  server.setResources(resourcesOf({ secret: [raw('s', 'two')] }));
  assert.deepEqual(names(await accept(stream)), ['s']);

  const speaking = await startServer(t, resourcesOf({}), { announceMissingSecrets: true });
  const other = speaking.delta();
  other.send({ node, typeUrl: SECRET, resourceNamesSubscribe: ['s'] });
  assert.deepEqual((await accept(other)).removedResources, ['s']);
});

test('unsubscribing: unknown names are ignored; beside a wildcard the answer says what holds (17)', async (t) => {
  const { delta } = await startServer(t, resourcesOf({ cluster: [cluster('a')], endpoint: [assignment('a', 1)] }));
  const stream = delta();
  stream.send({ node, typeUrl: ENDPOINT, resourceNamesSubscribe: ['a'], resourceNamesUnsubscribe: ['phantom'] });
  await accept(stream);
  stream.send({ typeUrl: ENDPOINT, resourceNamesUnsubscribe: ['a', 'phantom'] });
  await stream.silence();
  stream.send({ typeUrl: CLUSTER, resourceNamesSubscribe: ['*', 'a', 'gone'] });
  await accept(stream);
  stream.send({ typeUrl: CLUSTER, resourceNamesUnsubscribe: ['a', 'gone'] });
  const answer = await accept(stream);
  assert.deepEqual(names(answer), ['a']);
  assert.deepEqual(answer.removedResources, ['gone']);
});

test('resource locators and aliases count as names, and nothing is sent twice in one response (11, 20)', async (t) => {
  const aliased = { ...raw('real', 'x'), aliases: ['other', 'third'] };
  const { server, delta } = await startServer(t, resourcesOf({ route: [aliased] }));
  const stream = delta();
  stream.send({
    node,
    typeUrl: ROUTE,
    resourceNamesSubscribe: ['other', 'real'],
    resourceLocatorsSubscribe: [{ name: 'third' }],
  });
  const response = await accept(stream);
  assert.deepEqual(names(response), ['real']);
  assert.deepEqual(response.resources[0]?.aliases, ['other', 'third']);
  server.setResources(resourcesOf({ route: [{ ...raw('real', 'y'), aliases: ['other', 'third'] }] }));
  assert.deepEqual(names(await accept(stream)), ['real']);
});

test('a removal is said once, and only to who holds it (23)', async (t) => {
  const resources = resourcesOf({ cluster: [cluster('a'), cluster('b')], endpoint: [assignment('a', 1)] });
  const { server, delta } = await startServer(t, resources);
  const stream = delta();
  const other = delta();
  stream.send({ node, typeUrl: CLUSTER });
  await accept(stream);
  other.send({ node: { id: 'n2' }, typeUrl: CLUSTER, resourceNamesSubscribe: ['b'] });
  await accept(other);
  server.setResources(withTypes(resources, { cluster: [cluster('b')] }));
  const removal = await accept(stream);
  assert.deepEqual([names(removal), removal.removedResources], [[], ['a']]);
  await stream.silence();
  await other.silence();
});

test('a reconnecting client is sent what differs and told what is gone (24, 25)', async (t) => {
  const resources = resourcesOf({ cluster: [cluster('same'), cluster('new'), cluster('changed', 2)] });
  const before = await startServer(t, resourcesOf({ cluster: [cluster('same'), cluster('changed'), cluster('gone')] }));
  const old = before.delta();
  old.send({ node, typeUrl: CLUSTER });
  const held = Object.fromEntries((await accept(old)).resources.map((r) => [r.name, r.version]));
  assert.ok(Object.values(held).every((version) => version.length > 0 && version.length <= 16));

  // A server that never saw this client: versions depend on content alone.
  const { delta } = await startServer(t, resources);
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER, initialResourceVersions: held });
  const sent: string[] = [];
  const removed: string[] = [];
  while (sent.length < 2 || removed.length < 1) {
    const response = await accept(stream);
    sent.push(...names(response));
    removed.push(...response.removedResources);
  }
  assert.deepEqual([sent.sort(), removed], [['changed', 'new'], ['gone']]);
  await stream.silence();
});

test('a reconnecting client with all that it names is sent nothing (24)', async (t) => {
  const resources = resourcesOf({ endpoint: [assignment('a', 1), assignment('b', 1)] });
  const { server, delta } = await startServer(t, resources);
  const first = delta();
  first.send({ node, typeUrl: ENDPOINT, resourceNamesSubscribe: ['a', 'b'] });
  const versions = Object.fromEntries((await accept(first)).resources.map((r) => [r.name, r.version]));
  first.end();
  const again = delta();
  again.send({
    node,
    typeUrl: ENDPOINT,
    resourceNamesSubscribe: ['a', 'b'],
    initialResourceVersions: { ...versions, unrelated: 'x' },
  });
  await again.silence();
  server.setResources(resourcesOf({ endpoint: [assignment('a', 1), assignment('b', 2)] }));
  assert.deepEqual(names(await accept(again)), ['b']);
});

test('names are taken from requests with a nonce that is old or missing (7)', async (t) => {
  const { delta, server } = await startServer(t, resourcesOf({ endpoint: [assignment('a', 1), assignment('b', 1)] }));
  const stream = delta();
  stream.send({ node, typeUrl: ENDPOINT, resourceNamesSubscribe: ['a'], responseNonce: 'of-another-stream' });
  const first = await stream.next();
  stream.send({ typeUrl: ENDPOINT, resourceNamesSubscribe: ['b'], responseNonce: 'stale' });
  await stream.silence();
  assert.equal(server.status().counters.acknowledged, 0, 'a stale nonce acknowledges nothing');
  stream.send({ typeUrl: ENDPOINT, responseNonce: first.nonce });
  assert.deepEqual(names(await accept(stream)), ['b'], 'sent once the first is acknowledged');
});

test('nonces are never empty and never repeat on a stream (5)', async (t) => {
  const { delta } = await startServer(t, resourcesOf({ endpoint: [assignment('a', 1)] }));
  const stream = delta();
  const nonces = new Set<string>();
  for (let round = 0; round < 5; round += 1) {
    stream.send({ node, typeUrl: ENDPOINT, resourceNamesSubscribe: ['a'] });
    nonces.add((await accept(stream)).nonce);
  }
  assert.equal(nonces.size, 5);
  assert.ok(!nonces.has(''));
});

test('types do not mix on one stream, and who the client is need be said only once (8, 9)', async (t) => {
  const resources = resourcesOf({ cluster: [cluster('a')], endpoint: [assignment('a', 1)] });
  const { server, delta } = await startServer(t, resources);
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  const clusters = await stream.next();
  stream.send({ node: { id: 'somebody-else' }, typeUrl: ENDPOINT, resourceNamesSubscribe: ['a'] });
  const endpoints = await stream.next();
  assert.equal(endpoints.typeUrl, ENDPOINT);
  // The nonce of another type says nothing.
  stream.send({ typeUrl: ENDPOINT, responseNonce: clusters.nonce });
  await stream.silence();
  const [client] = server.status().clients;
  assert.equal(client?.nodeId, 'n1');
  assert.equal(client?.types[ENDPOINT]?.acknowledgedVersion, undefined);
  stream.send({ resourceNamesSubscribe: ['a'] });
  assert.equal((await stream.ended).code, 3, 'INVALID_ARGUMENT without a type');
});

test('a virtual host is found by its alias, and one that is not has an answer without a body (39)', async (t) => {
  const known = { ...raw('routes/reviews', 'x'), aliases: ['routes/reviews.mesh'] };
  const { server, client } = await startServer(t, resourcesOf({ virtualHost: [known] }));
  const stream = client.delta('/envoy.service.route.v3.VirtualHostDiscoveryService/DeltaVirtualHosts');
  stream.send({ node, resourceNamesSubscribe: ['routes/reviews.mesh'] });
  const found = await accept(stream);
  assert.deepEqual(
    found.resources.map(({ name, aliases }) => [name, aliases]),
    [['routes/reviews', ['routes/reviews.mesh']]],
  );
  stream.send({ resourceNamesSubscribe: ['routes/nowhere.mesh'] });
  const [missing] = (await accept(stream)).resources;
  assert.deepEqual(
    [missing?.name, missing?.aliases, missing?.resource],
    ['routes/nowhere.mesh', ['routes/nowhere.mesh'], undefined],
  );
  server.setResources(
    resourcesOf({ virtualHost: [known, { ...raw('routes/new', 'y'), aliases: ['routes/nowhere.mesh'] }] }),
  );
  assert.deepEqual(names(await accept(stream)), ['routes/new']);
  server.setResources(resourcesOf({ virtualHost: [known] }));
  assert.deepEqual((await accept(stream)).removedResources, ['routes/new']);
  const moved = (name: string) => ({ ...raw(name, name), aliases: ['routes/nowhere.mesh', `${name}.mesh`] });
  server.setResources(resourcesOf({ virtualHost: [known, moved('routes/one')] }));
  assert.deepEqual(names(await accept(stream)), ['routes/one']);
  server.setResources(resourcesOf({ virtualHost: [known, moved('routes/two')] }));
  const replaced = await accept(stream);
  assert.deepEqual([names(replaced), replaced.removedResources], [['routes/two'], ['routes/one']]);
  // Known by two names, and still one removal.
  stream.send({ resourceNamesSubscribe: ['routes/two.mesh'] });
  await accept(stream);
  server.setResources(resourcesOf({ virtualHost: [known] }));
  assert.deepEqual((await accept(stream)).removedResources, ['routes/two']);
});
