/** What is sent when. Numbers are the rules of the xDS protocol as the project counts them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ListenerSchema } from '../../src/gen/envoy/config/listener/v3/listener_pb.ts';
import { HttpConnectionManagerSchema } from '../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { type Resource, TYPE_URL } from '../../src/xds/resource.ts';
import type { OverdueEvent } from '../../src/xds/status.ts';
import { eventually } from '../support/eventually.ts';
import type { DeltaStream, SotwStream } from './client.ts';
import { assignment, cluster, message, raw, resourcesOf, route, startServer, withTypes } from './fixture.ts';

const node = { id: 'n1' };
const { cluster: CLUSTER, endpoint: ENDPOINT, listener: LISTENER, route: ROUTE, secret: SECRET } = TYPE_URL;

type DeltaResponse = Awaited<ReturnType<DeltaStream['next']>>;

const KIND: Readonly<Record<string, string>> = Object.fromEntries(Object.entries(TYPE_URL).map(([k, v]) => [v, k]));

/** Such as `cluster +a,b -c`. */
function summary({ typeUrl, resources, removedResources }: DeltaResponse): string {
  const parts = [KIND[typeUrl] ?? typeUrl];
  if (resources.length > 0)
    parts.push(
      `+${resources
        .map((r) => r.name)
        .sort()
        .join(',')}`,
    );
  if (removedResources.length > 0) parts.push(`-${removedResources.toSorted().join(',')}`);
  return parts.join(' ');
}

function accept(stream: DeltaStream, { typeUrl, nonce }: DeltaResponse): void {
  stream.send({ typeUrl, responseNonce: nonce });
}

async function accepted(stream: DeltaStream): Promise<string> {
  const response = await stream.next();
  accept(stream, response);
  return summary(response);
}

/** A listener with an HTTP connection manager for each of the route configurations. */
function listener(name: string, prefix: string, ...routes: readonly string[]): Resource {
  return message(name, ListenerSchema, {
    name,
    statPrefix: prefix,
    filterChains: routes.map((routeConfigName) => ({
      filters: [
        {
          name: 'http',
          configType: {
            case: 'typedConfig' as const,
            value: {
              typeUrl:
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              value: message('', HttpConnectionManagerSchema, {
                routeSpecifier: { case: 'rds', value: { routeConfigName } },
              }).value,
            },
          },
        },
      ],
    })),
  });
}

const before = resourcesOf({
  secret: [raw('cert', '1')],
  cluster: [cluster('a')],
  endpoint: [assignment('a', 1)],
  listener: [listener('l', 'one', 'r')],
  route: [route('r', 'a')],
});
const after = resourcesOf({
  secret: [raw('cert', '2')],
  cluster: [cluster('b')],
  endpoint: [assignment('b', 1)],
  listener: [listener('l', 'two', 'r')],
  route: [route('r', 'b')],
});

/** A client that has everything, as Envoy asks for it. */
async function settled(stream: DeltaStream): Promise<void> {
  stream.send({ node, typeUrl: CLUSTER });
  await accepted(stream);
  for (const [typeUrl, names] of [
    [ENDPOINT, ['a']],
    [SECRET, ['cert']],
    [LISTENER, []],
    [ROUTE, ['r']],
  ] as const) {
    stream.send({ typeUrl, resourceNamesSubscribe: [...names] });
    await accepted(stream);
  }
}

test('make before break: a replaced cluster (29, 30, 34)', async (t) => {
  const { server, delta } = await startServer(t, before);
  const stream = delta();
  await settled(stream);
  server.setResources(after);
  assert.equal(await accepted(stream), 'secret +cert');
  const clusters = await stream.next();
  assert.equal(summary(clusters), 'cluster +b', 'the old one is kept');
  await stream.silence();
  // Like Envoy: acknowledge the cluster, then ask for its endpoints. Until they are there it is not in service.
  accept(stream, clusters);
  await stream.silence();
  stream.send({ typeUrl: ENDPOINT, resourceNamesSubscribe: ['b'] });
  const endpoints = await stream.next();
  assert.equal(summary(endpoints), 'endpoint +b');
  await stream.silence();
  accept(stream, endpoints);
  const listeners = await stream.next();
  assert.equal(summary(listeners), 'listener +l');
  await stream.silence();
  accept(stream, listeners);
  const routes = await stream.next();
  assert.equal(summary(routes), 'route +r');
  await stream.silence();
  accept(stream, routes);
  assert.equal(await accepted(stream), 'cluster -a');
  assert.equal(await accepted(stream), 'endpoint -a');
  await stream.silence();
  assert.equal(server.status().clients[0]?.upToDate, true);
});

test('make before break in the state of the world: the old cluster stays in until routes have moved (29)', async (t) => {
  const { server, sotw } = await startServer(t, before);
  const stream = sotw();
  type Response = Awaited<ReturnType<SotwStream['next']>>;
  const names: Record<string, string[]> = { [ENDPOINT]: ['a'], [ROUTE]: ['r'] };
  const nonces: Record<string, string> = {};
  const acknowledge = ({ typeUrl, nonce, versionInfo }: Response): void => {
    nonces[typeUrl] = nonce;
    stream.send({ typeUrl, responseNonce: nonce, versionInfo, resourceNames: names[typeUrl] ?? [] });
  };
  const take = async (): Promise<string> => {
    const response = await stream.next();
    acknowledge(response);
    return `${KIND[response.typeUrl]} ${response.resources.length}`;
  };
  for (const typeUrl of [CLUSTER, ENDPOINT, LISTENER, ROUTE]) {
    stream.send({ node, typeUrl, resourceNames: names[typeUrl] ?? [] });
    assert.equal(await take(), `${KIND[typeUrl]} 1`);
  }
  server.setResources(after);
  assert.equal(await take(), 'cluster 2');
  await stream.silence();
  names[ENDPOINT] = ['a', 'b'];
  stream.send({ typeUrl: ENDPOINT, resourceNames: ['a', 'b'], responseNonce: nonces[ENDPOINT] ?? '' });
  assert.equal(await take(), 'endpoint 1');
  assert.equal(await take(), 'listener 1');
  assert.equal(await take(), 'route 1');
  assert.equal(await take(), 'cluster 1');
  await stream.silence();
});

test('a removal alone waits for nothing', async (t) => {
  const { server, delta } = await startServer(t, before);
  const stream = delta();
  await settled(stream);
  server.setResources(withTypes(before, { cluster: [] }));
  assert.equal(await accepted(stream), 'cluster -a');
});

test('changed endpoints go at once, whatever else is under way (29, 33)', async (t) => {
  const { server, delta } = await startServer(t, before);
  const stream = delta();
  await settled(stream);
  const changed = withTypes(before, { cluster: [cluster('a'), cluster('b')], route: [route('r', 'b')] });
  server.setResources(changed);
  const clusters = await stream.next();
  assert.equal(summary(clusters), 'cluster +b');
  server.setResources(withTypes(changed, { endpoint: [assignment('a', 2)] }));
  assert.equal(await accepted(stream), 'endpoint +a', 'while the clusters are not acknowledged');
  await stream.silence();
  accept(stream, clusters);
  assert.equal(await accepted(stream), 'route +r');
});

test('endpoints that change with their cluster come after it', async (t) => {
  const { server, delta } = await startServer(t, before);
  const stream = delta();
  await settled(stream);
  server.setResources(withTypes(before, { cluster: [cluster('a', 2)], endpoint: [assignment('a', 2)] }));
  const clusters = await stream.next();
  const endpoints = await stream.next();
  assert.deepEqual([summary(clusters), summary(endpoints)], ['cluster +a', 'endpoint +a']);
  accept(stream, endpoints);
  // A second change while the first of the cluster is not acknowledged.
  server.setResources(withTypes(before, { cluster: [cluster('a', 3)], endpoint: [assignment('a', 3)] }));
  await stream.silence();
  accept(stream, clusters);
  assert.deepEqual([await accepted(stream), await accepted(stream)], ['cluster +a', 'endpoint +a']);
});

test('a changed cluster is followed by its endpoints though they are as before, and by no others (31)', async (t) => {
  const resources = withTypes(before, {
    cluster: [cluster('a'), cluster('x')],
    endpoint: [assignment('a', 1), assignment('x', 1)],
  });
  const { server, delta } = await startServer(t, resources);
  const stream = delta();
  await settled(stream);
  stream.send({ typeUrl: ENDPOINT, resourceNamesSubscribe: ['x'] });
  await accepted(stream);
  server.setResources(withTypes(resources, { cluster: [cluster('a', 2), cluster('x')] }));
  assert.deepEqual([await accepted(stream), await accepted(stream)], ['cluster +a', 'endpoint +a']);
  await stream.silence();
});

test('a cluster that went and came back gets its endpoints again (13, 31)', async (t) => {
  const { server, delta } = await startServer(t, before);
  const stream = delta();
  await settled(stream);
  server.setResources(withTypes(before, { cluster: [] }));
  assert.equal(await accepted(stream), 'cluster -a');
  server.setResources(before);
  assert.deepEqual([await accepted(stream), await accepted(stream)], ['cluster +a', 'endpoint +a']);
});

test('a changed listener is followed by the routes that it newly refers to, and by no others (31)', async (t) => {
  const resources = withTypes(before, { route: [route('r', 'a'), route('s', 'a')] });
  const { server, delta } = await startServer(t, resources);
  const stream = delta();
  await settled(stream);
  stream.send({ typeUrl: ROUTE, resourceNamesSubscribe: ['s'] });
  await accepted(stream);
  server.setResources(withTypes(resources, { listener: [listener('l', 'two', 'r', 's')] }));
  assert.deepEqual([await accepted(stream), await accepted(stream)], ['listener +l', 'route +s']);
  await stream.silence();
});

test('one response at a time: what changes meanwhile is merged (35)', async (t) => {
  const resources = resourcesOf({ endpoint: [assignment('a', 0), assignment('b', 0), assignment('c', 0)] });
  const { server, delta } = await startServer(t, resources);
  const stream = delta();
  stream.send({ node, typeUrl: ENDPOINT, resourceNamesSubscribe: ['a', 'b', 'c'] });
  const first = await stream.next();
  for (let port = 1; port <= 500; port += 1) {
    server.setResources(resourcesOf({ endpoint: [assignment('a', port), assignment('b', port), assignment('c', 0)] }));
    if (port % 100 === 0) await delay(1);
  }
  await stream.silence();
  assert.equal(server.status().counters.responsesSent, 1);
  accept(stream, first);
  assert.equal(await accepted(stream), 'endpoint +a,b');
  await stream.silence();
});

test('a missing answer is counted, told, and stops only its own type (35)', async (t) => {
  const overdue: OverdueEvent[] = [];
  const { server, delta } = await startServer(t, before, {
    ackTimeoutMs: 50,
    stageTimeoutMs: 100,
    onOverdue: (event) => overdue.push(event),
  });
  const stream = delta();
  await settled(stream);
  server.setResources(withTypes(before, { cluster: [cluster('a', 2)], route: [route('r', 'b')] }));
  const clusters = await stream.next();
  assert.equal(summary(clusters), 'cluster +a');
  assert.equal(await accepted(stream), 'endpoint +a');
  assert.equal(summary(await stream.next()), 'route +r', 'goes without');
  const event = overdue.find(({ typeUrl, version }) => typeUrl === CLUSTER && version === clusters.systemVersionInfo);
  assert.equal(event?.nodeId, 'n1');
  assert.ok((event?.waitedMs ?? 0) >= 50);
  assert.equal(server.status().clients[0]?.types[CLUSTER]?.overdue, true);
  assert.ok(server.status().counters.overdue >= 1);
  accept(stream, clusters);
  await eventually('it is answered', () => server.status().clients[0]?.types[CLUSTER]?.overdue === false);
  await stream.silence();
});

test('bursts are gathered, but changed endpoints do not wait (36)', async (t) => {
  const { server, delta } = await startServer(t, before, { debounce: { quietMs: 300, maxMs: 60_000 } });
  const stream = delta();
  await settled(stream);
  const start = performance.now();
  server.setResources(withTypes(before, { cluster: [cluster('a', 2)] }));
  server.setResources(withTypes(before, { cluster: [cluster('a', 3)], endpoint: [assignment('a')] }));
  assert.equal(await accepted(stream), 'endpoint +a', 'no endpoints are left: not a moment to lose');
  const clusters = await stream.next();
  assert.equal(summary(clusters), 'cluster +a');
  assert.ok(performance.now() - start >= 290);
  accept(stream, clusters);
  assert.equal(await accepted(stream), 'endpoint +a');
  await stream.silence();
  assert.equal(server.status().clients[0]?.types[CLUSTER]?.sent, 2, 'two changes in one response');
});

test('under changes without an end the longest wait holds (36)', async (t) => {
  const { server, delta } = await startServer(t, before, { debounce: { quietMs: 60_000, maxMs: 300 } });
  const stream = delta();
  await settled(stream);
  const start = performance.now();
  let second = 10;
  const timer = setInterval(() => {
    second += 1;
    server.setResources(withTypes(before, { cluster: [cluster('a', second)] }));
  }, 20);
  t.after(() => clearInterval(timer));
  assert.equal(await accepted(stream), 'cluster +a');
  assert.ok(performance.now() - start >= 290);
});
