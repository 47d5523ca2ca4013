/** Sockets, services, status: what surrounds the protocol. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { lstat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { ClientResourceStatus } from '../../src/gen/envoy/admin/v3/config_dump_shared_pb.ts';
import {
  ClientStatusRequestSchema,
  type ClientStatusResponse,
  ClientStatusResponseSchema,
} from '../../src/gen/envoy/service/status/v3/csds_pb.ts';
import { TYPE_URL } from '../../src/xds/resource.ts';
import { XdsServer } from '../../src/xds/server.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { connectClient, type TestClient } from './client.ts';
import { assignment, cluster, raw, resourcesOf, startServer } from './fixture.ts';

const node = { id: 'n1' };
const { cluster: CLUSTER, endpoint: ENDPOINT, secret: SECRET } = TYPE_URL;

test('every single-type service speaks both protocols', async (t) => {
  const resources = resourcesOf({
    cluster: [raw('x', '1')],
    endpoint: [raw('x', '2')],
    listener: [raw('x', '3')],
    route: [raw('x', '4')],
    secret: [raw('x', '5')],
  });
  const { client } = await startServer(t, resources);
  for (const [service, plural, content] of [
    ['cluster.v3.ClusterDiscoveryService', 'Clusters', '1'],
    ['endpoint.v3.EndpointDiscoveryService', 'Endpoints', '2'],
    ['listener.v3.ListenerDiscoveryService', 'Listeners', '3'],
    ['route.v3.RouteDiscoveryService', 'Routes', '4'],
    ['secret.v3.SecretDiscoveryService', 'Secrets', '5'],
  ]) {
    const delta = client.delta(`/envoy.service.${service}/Delta${plural}`);
    delta.send({ node, resourceNamesSubscribe: ['x'] });
    assert.equal(Buffer.from((await delta.next()).resources[0]?.resource?.value ?? []).toString(), content);
    const sotw = client.sotw(`/envoy.service.${service}/Stream${plural}`);
    sotw.send({ node, resourceNames: ['x'] });
    assert.equal(Buffer.from((await sotw.next()).resources[0]?.value ?? []).toString(), content);
  }
  const wrong = client.delta('/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters');
  wrong.send({ node, typeUrl: ENDPOINT, resourceNamesSubscribe: ['x'] });
  assert.equal((await wrong.ended).code, 3);
});

test('bytes that are no request end their stream and nothing else', async (t) => {
  const { client, delta } = await startServer(t, resourcesOf({ cluster: [cluster('a')] }));
  const good = delta();
  good.send({ node, typeUrl: CLUSTER });
  await good.next();
  const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/';
  for (const method of ['DeltaAggregatedResources', 'StreamAggregatedResources']) {
    for (const bytes of [
      Buffer.from([0xff, 0xff, 0xff]),
      Buffer.from([0x1a, 0xff, 0xff, 0x7f]),
      Buffer.from([0x0a, 5, 1]),
    ]) {
      const call = client.grpc.makeBidiStreamRequest(
        path + method,
        (b: Buffer) => b,
        (b: Buffer) => b,
      );
      const code = await new Promise((resolve) => {
        call.on('error', () => undefined);
        call.on('status', (status) => resolve(status.code));
        call.write(bytes);
      });
      assert.equal(code, 3, 'INVALID_ARGUMENT');
    }
  }
  good.send({ typeUrl: ENDPOINT, resourceNamesSubscribe: ['e'] });
  assert.deepEqual((await good.next()).removedResources, ['e']);
});

test('a Unix socket is its owner’s alone; a dead one gives way, a live one and a file do not', async (t) => {
  const path = join(await tempDir(t), 'x.sock');
  const first = new XdsServer();
  assert.equal(await first.listen(`unix:${path}`), `unix:${path}`);
  assert.equal((await lstat(path)).mode & 0o777, 0o600);
  const second = new XdsServer();
  await assert.rejects(second.listen(`unix:${path}`), { code: 'XDS_SOCKET_IN_USE' });
  await first.close(0);

  // A server that was killed leaves its socket behind.
  const code = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  assert.throws(() => execFileSync(process.execPath, ['-e', code], { stdio: 'ignore' }));
  assert.ok(existsSync(path));
  await second.listen(`unix:${path}`);
  const client = connectClient(`unix:${path}`);
  const stream = client.delta();
  stream.send({ node, typeUrl: CLUSTER });
  await stream.next();
  client.close();
  await second.close(0);

  const third = new XdsServer();
  const file = join(await tempDir(t), 'file');
  await writeFile(file, 'precious');
  await assert.rejects(third.listen(`unix:${file}`), { code: 'XDS_SOCKET_PATH' });
  assert.ok(existsSync(file));
  await assert.rejects(third.listen(`unix:/tmp/${'x'.repeat(120)}`), { code: 'XDS_SOCKET_PATH' });
  await assert.rejects(third.listen(`unix:${file}/deeper/x.sock`), { code: 'XDS_SOCKET_PATH' });
});

test('secrets do not go over TCP', async (t) => {
  const resources = resourcesOf({ secret: [raw('s', 'private')], cluster: [cluster('a')] });
  for (const allowSecretsOverTcp of [false, true]) {
    const server = new XdsServer({ allowSecretsOverTcp });
    server.setResources(resources);
    const address = await server.listen('127.0.0.1:0');
    assert.match(address, /^127\.0\.0\.1:\d+$/);
    const client = connectClient(address);
    t.after(async () => {
      client.close();
      await server.close(0);
    });
    const stream = client.delta();
    stream.send({ node, typeUrl: CLUSTER });
    await stream.next();
    stream.send({ typeUrl: SECRET, resourceNamesSubscribe: ['s'] });
    if (allowSecretsOverTcp) assert.equal((await stream.next()).resources.length, 1);
    else assert.equal((await stream.ended).code, 7, 'PERMISSION_DENIED');
    const single = client.sotw('/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets');
    single.send({ node, resourceNames: ['s'] });
    if (allowSecretsOverTcp) assert.equal((await single.next()).resources.length, 1);
    else assert.equal((await single.ended).code, 7, 'PERMISSION_DENIED');
  }
});

test('status and waiting: what a client has, and that it has it all', async (t) => {
  const acknowledged: string[] = [];
  const { server, delta } = await startServer(
    t,
    resourcesOf({ cluster: [cluster('a')], endpoint: [assignment('a', 1)] }),
    {
      onAcknowledge: ({ nodeId, typeUrl }) => acknowledged.push(`${nodeId} ${typeUrl}`),
    },
  );
  const stream = delta();
  stream.send({ node: { id: 'n1', cluster: 'c', userAgentName: 'envoy' }, typeUrl: CLUSTER });
  const first = await stream.next();
  const [client] = server.status().clients;
  assert.deepEqual(
    [client?.nodeId, client?.nodeCluster, client?.userAgent, client?.mode],
    ['n1', 'c', 'envoy', 'delta'],
  );
  assert.equal(client?.upToDate, false);
  assert.ok((client?.types[CLUSTER]?.inFlightMs ?? -1) >= 0);
  assert.equal(await server.whenUpToDate('n1', [CLUSTER], AbortSignal.timeout(30)), false);
  const done = server.whenUpToDate('n1', [CLUSTER, ENDPOINT], AbortSignal.timeout(60_000));
  stream.send({ typeUrl: CLUSTER, responseNonce: first.nonce });
  stream.send({ typeUrl: ENDPOINT, resourceNamesSubscribe: ['a'] });
  const second = await stream.next();
  let isDone = false;
  void done.then(() => (isDone = true));
  await delay(30);
  assert.equal(isDone, false, 'endpoints are not acknowledged');
  stream.send({ typeUrl: ENDPOINT, responseNonce: second.nonce });
  assert.equal(await done, true);
  assert.deepEqual(acknowledged, [`n1 ${CLUSTER}`, `n1 ${ENDPOINT}`]);
  assert.equal(server.status().clients[0]?.types[CLUSTER]?.wantsAll, true);
  assert.equal(server.status().clients[0]?.types[ENDPOINT]?.subscribed, 1);
  stream.end();
  await eventually('the client is forgotten', () => server.status().clients.length === 0);
  assert.equal(await server.whenUpToDate('n1', [CLUSTER], AbortSignal.timeout(30)), false);
});

test('closing ends streams in order', async (t) => {
  const server = new XdsServer();
  const address = await server.listen(`unix:${join(await tempDir(t), 'x.sock')}`);
  const client = connectClient(address);
  t.after(() => client.close());
  const stream = client.delta();
  stream.send({ node, typeUrl: CLUSTER });
  await stream.next();
  await server.close(60_000);
  assert.equal((await stream.ended).code, 0);
});

async function clientStatus(
  client: TestClient,
  request: MessageInitShape<typeof ClientStatusRequestSchema> = {},
): Promise<ClientStatusResponse> {
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    client.grpc.makeUnaryRequest(
      '/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus',
      (b: Buffer) => b,
      (b: Buffer) => b,
      Buffer.from(toBinary(ClientStatusRequestSchema, create(ClientStatusRequestSchema, request))),
      (error, response) => (response === undefined ? reject(error ?? new Error('nothing')) : resolve(response)),
    );
  });
  return fromBinary(ClientStatusResponseSchema, bytes);
}

test('client status: each resource with its state, never the content of a secret (41)', async (t) => {
  const resources = resourcesOf({
    endpoint: [assignment('good', 1), assignment('bad', 1)],
    secret: [raw('s', 'private')],
  });
  const { client, delta } = await startServer(t, resources);
  const stream = delta();
  stream.send({
    node: { id: 'n1', metadata: { role: 'edge' } },
    typeUrl: ENDPOINT,
    resourceNamesSubscribe: ['good', 'bad', 'none'],
  });
  const first = await stream.next();
  stream.send({ typeUrl: ENDPOINT, responseNonce: first.nonce, errorDetail: { message: 'bad: malformed' } });
  const second = await stream.next();
  stream.send({ typeUrl: ENDPOINT, responseNonce: second.nonce });
  stream.send({ typeUrl: SECRET, resourceNamesSubscribe: ['s'] });
  await stream.next();
  const { config } = await clientStatus(client, {
    nodeMatchers: [{ nodeId: { matchPattern: { case: 'prefix', value: 'n' } } }],
  });
  assert.equal(config[0]?.node?.id, 'n1');
  assert.deepEqual(config[0]?.node?.metadata, { role: 'edge' });
  const states = Object.fromEntries((config[0]?.genericXdsConfigs ?? []).map((c) => [c.name, c]));
  assert.deepEqual(
    Object.values(states).map(({ name, clientStatus: state }) => [name, state]),
    [
      ['good', ClientResourceStatus.ACKED],
      ['bad', ClientResourceStatus.NACKED],
      ['none', ClientResourceStatus.DOES_NOT_EXIST],
      ['s', ClientResourceStatus.REQUESTED],
    ],
  );
  assert.equal(states['bad']?.errorState?.details, 'bad: malformed');
  assert.notEqual(states['good']?.versionInfo, '');
  assert.notEqual(states['good']?.xdsConfig, undefined);
  assert.equal(states['s']?.xdsConfig, undefined);
  const none = { nodeMatchers: [{ nodeId: { matchPattern: { case: 'exact' as const, value: 'other' } } }] };
  assert.deepEqual((await clientStatus(client, none)).config, []);
  await assert.rejects(
    clientStatus(client, { nodeMatchers: [{ nodeMetadatas: [{ path: [] }] }] }),
    /INVALID_ARGUMENT: nodes can be matched by their id only/,
  );
});
