/** What a client refuses. Numbers are the rules of the xDS protocol as the project counts them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TYPE_URL } from '../../src/xds/resource.ts';
import type { RejectEvent } from '../../src/xds/status.ts';
import type { DeltaStream } from './client.ts';
import { assignment, cluster, resourcesOf, route, startServer, withTypes } from './fixture.ts';

const STAGE_MS = 60_000;
const realNow = performance.now.bind(performance);
const node = { id: 'n1' };
const { cluster: CLUSTER, endpoint: ENDPOINT, route: ROUTE } = TYPE_URL;

type DeltaResponse = Awaited<ReturnType<DeltaStream['next']>>;
const names = (response: DeltaResponse): string[] => response.resources.map((r) => r.name).sort();

async function answer(stream: DeltaStream, error?: string): Promise<DeltaResponse> {
  const response = await stream.next();
  const errorDetail = error === undefined ? {} : { errorDetail: { code: 13, message: error } };
  stream.send({ typeUrl: response.typeUrl, responseNonce: response.nonce, ...errorDetail });
  return response;
}

test('a refusal is told with its node, type, names and message, and holds until it is mended (1, 2, 4)', async (t) => {
  const rejects: RejectEvent[] = [];
  const { server, delta } = await startServer(t, resourcesOf({ cluster: [cluster('good'), cluster('bad')] }), {
    onReject: (event) => rejects.push(event),
  });
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  await answer(stream, 'Error adding/updating cluster(s) bad: no such thing as badness');
  // The other one need not wait for it.
  assert.deepEqual(names(await answer(stream)), ['good']);
  await stream.silence();
  assert.equal(rejects.length, 1);
  const { at, version, ...event } = rejects[0] ?? assert.fail();
  assert.deepEqual(event, {
    nodeId: 'n1',
    typeUrl: CLUSTER,
    names: ['bad'],
    blamed: true,
    message: 'Error adding/updating cluster(s) bad: no such thing as badness',
  });
  assert.ok(at > 0 && version !== '');
  const type = server.status().clients[0]?.types[CLUSTER];
  assert.equal(type?.rejected?.message, event.message);
  assert.equal(type?.upToDate, false);

  // The next change of others leaves the bad one alone; its own change sends it.
  server.setResources(resourcesOf({ cluster: [cluster('good', 2), cluster('bad')] }));
  assert.deepEqual(names(await answer(stream)), ['good']);
  server.setResources(resourcesOf({ cluster: [cluster('good', 2), cluster('bad', 2)] }));
  assert.deepEqual(names(await answer(stream)), ['bad']);
  await stream.silence();
  assert.equal(server.status().clients[0]?.types[CLUSTER]?.rejected, undefined);
  assert.equal(server.status().clients[0]?.upToDate, true);
});

test('without a name in the message nothing is sent until a change, and then all that was refused (2, 3)', async (t) => {
  const { server, delta } = await startServer(t, resourcesOf({ endpoint: [assignment('a', 1), assignment('b', 1)] }));
  const stream = delta();
  stream.send({ node, typeUrl: ENDPOINT, resourceNamesSubscribe: ['a', 'b', 'c'] });
  await answer(stream, 'something is wrong');
  await stream.silence();
  assert.deepEqual(server.status().clients[0]?.types[ENDPOINT]?.rejected?.names, ['a', 'b', 'c']);
  server.setResources(resourcesOf({ endpoint: [assignment('a', 1), assignment('b', 1), assignment('c', 1)] }));
  assert.deepEqual(names(await answer(stream)), ['a', 'b', 'c']);
  await stream.silence();
});

test('back to what was good is sent too: the client may have taken a part of what it refused (3)', async (t) => {
  const good = resourcesOf({ cluster: [cluster('a'), cluster('b')] });
  const { server, delta, sotw } = await startServer(t, good);
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  await answer(stream);
  const world = sotw();
  world.send({ node, typeUrl: CLUSTER });
  const first = await world.next();
  world.send({ typeUrl: CLUSTER, responseNonce: first.nonce, versionInfo: first.versionInfo });
  server.setResources(resourcesOf({ cluster: [cluster('a', 2), cluster('b', 2)] }));
  await answer(stream, 'no');
  const second = await world.next();
  world.send({
    typeUrl: CLUSTER,
    responseNonce: second.nonce,
    versionInfo: first.versionInfo,
    errorDetail: { message: 'no' },
  });
  await stream.silence();
  await world.silence();
  server.setResources(good);
  assert.deepEqual(names(await answer(stream)), ['a', 'b']);
  assert.equal((await world.next()).versionInfo, first.versionInfo);
});

test('a refusal is one whatever version it claims, also with an empty message (1)', async (t) => {
  const rejects: RejectEvent[] = [];
  const { server, sotw } = await startServer(t, resourcesOf({ cluster: [cluster('a')] }), {
    onReject: (event) => rejects.push(event),
  });
  const stream = sotw();
  stream.send({ node, typeUrl: CLUSTER });
  const first = await stream.next();
  stream.send({ typeUrl: CLUSTER, versionInfo: first.versionInfo, responseNonce: first.nonce, errorDetail: {} });
  await stream.silence();
  assert.deepEqual(
    rejects.map(({ names: refused, blamed, message }) => [refused, blamed, message]),
    [[['a'], false, '']],
  );
  assert.equal(server.status().counters.rejected, 1);
  assert.equal(server.status().counters.acknowledged, 0);
  server.setResources(resourcesOf({ cluster: [cluster('a', 2)] }));
  const second = await stream.next();
  stream.send({ typeUrl: CLUSTER, versionInfo: second.versionInfo, responseNonce: second.nonce });
  await stream.silence();
  assert.equal(server.status().clients[0]?.types[CLUSTER]?.acknowledgedVersion, second.versionInfo);
});

test('a refused removal is said again with the next change', async (t) => {
  const { server, delta } = await startServer(t, resourcesOf({ cluster: [cluster('a'), cluster('b')] }));
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  await answer(stream);
  server.setResources(resourcesOf({ cluster: [cluster('b')] }));
  assert.deepEqual((await answer(stream, 'not now')).removedResources, ['a']);
  await stream.silence();
  server.setResources(resourcesOf({ cluster: [cluster('b', 2)] }));
  const sent: string[] = [];
  const removed: string[] = [];
  while (sent.length === 0 || removed.length === 0) {
    const response = await answer(stream);
    sent.push(...names(response));
    removed.push(...response.removedResources);
  }
  assert.deepEqual([sent, removed], [['b'], ['a']]);
});

test('a route to a new cluster that the client refused stays behind, and so does what it led to before (30)', async (t) => {
  const { server, delta } = await startServer(
    t,
    resourcesOf({ cluster: [cluster('old')], route: [route('r', 'old')] }),
    { stageTimeoutMs: STAGE_MS },
  );
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  await answer(stream);
  stream.send({ typeUrl: ROUTE, resourceNamesSubscribe: ['r'] });
  await answer(stream);
  server.setResources(resourcesOf({ cluster: [cluster('new')], route: [route('r', 'new')] }));
  assert.deepEqual(names(await answer(stream, "cluster 'new' is bad")), ['new']);
  await stream.silence();
  // The time after which a route goes without its cluster, had nothing been heard of that. The server looks each second.
  t.mock.method(performance, 'now', () => realNow() + 2 * STAGE_MS);
  await stream.silence(1500);
  server.setResources(resourcesOf({ cluster: [cluster('new', 2)], route: [route('r', 'new')] }));
  assert.deepEqual(names(await answer(stream)), ['new']);
  assert.deepEqual(names(await answer(stream)), ['r']);
  assert.deepEqual((await answer(stream)).removedResources, ['old']);
});

test('others do not wait for a refused cluster to be in service', async (t) => {
  const resources = resourcesOf({
    cluster: [cluster('old')],
    endpoint: [assignment('old', 1), assignment('good', 1), assignment('bad', 1)],
    route: [route('r', 'old')],
  });
  const { server, delta } = await startServer(t, resources, { stageTimeoutMs: 60_000 });
  const stream = delta();
  stream.send({ node, typeUrl: CLUSTER });
  await answer(stream);
  stream.send({ typeUrl: ENDPOINT, resourceNamesSubscribe: ['old'] });
  await answer(stream);
  stream.send({ typeUrl: ROUTE, resourceNamesSubscribe: ['r'] });
  await answer(stream);
  server.setResources(
    withTypes(resources, { cluster: [cluster('old'), cluster('good'), cluster('bad')], route: [route('r', 'good')] }),
  );
  assert.deepEqual(names(await answer(stream, "cluster 'bad' is bad")), ['bad', 'good']);
  assert.deepEqual(names(await answer(stream)), ['good']);
  stream.send({ typeUrl: ENDPOINT, resourceNamesSubscribe: ['good'] });
  assert.deepEqual(names(await answer(stream)), ['good']);
  assert.deepEqual(names(await answer(stream)), ['r']);
});
