/** Resources that expire (rule 27). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { ResourceSchema } from '../../src/gen/envoy/service/discovery/v3/discovery_pb.ts';
import { TYPE_URL } from '../../src/xds/resource.ts';
import { raw, resourcesOf, startServer } from './fixture.ts';

const { route: ROUTE, endpoint: ENDPOINT } = TYPE_URL;
const clientFeatures = ['xds.config.supports-resource-ttl', 'xds.config.supports-resource-in-sotw'];
const node = { id: 'n1', clientFeatures };
const expiring = (content: string) => ({ ...raw('r', content), ttlMs: 600 });

test('a client that can expire resources hears of their life, and is sent heartbeats (27)', async (t) => {
  const { server, delta } = await startServer(t, resourcesOf({ route: [expiring('x'), raw('eternal', 'x')] }));
  const stream = delta();
  stream.send({ node, typeUrl: ROUTE, resourceNamesSubscribe: ['r', 'eternal'] });
  const first = await stream.next();
  const sent = first.resources.find(({ name }) => name === 'r');
  assert.equal(Number(sent?.ttl?.nanos), 600_000_000);
  assert.equal(first.resources.find(({ name }) => name === 'eternal')?.ttl, undefined);
  stream.send({ typeUrl: ROUTE, responseNonce: first.nonce });
  for (let beat = 0; beat < 2; beat += 1) {
    const heartbeat = await stream.next();
    assert.deepEqual(
      heartbeat.resources.map(({ name, version, resource }) => [name, version, resource]),
      [['r', sent?.version, undefined]],
    );
    stream.send({ typeUrl: ROUTE, responseNonce: heartbeat.nonce });
  }
  server.setResources(resourcesOf({ route: [raw('r', 'y'), raw('eternal', 'x')] }));
  let last = await stream.next();
  // Another beat may be on its way.
  while (last.resources[0]?.resource === undefined) {
    stream.send({ typeUrl: ROUTE, responseNonce: last.nonce });
    last = await stream.next();
  }
  assert.equal(last.resources[0].ttl, undefined);
  stream.send({ typeUrl: ROUTE, responseNonce: last.nonce });
  await stream.silence(500);
});

test('other clients hear nothing of it (27)', async (t) => {
  const { delta, sotw } = await startServer(t, resourcesOf({ route: [expiring('x')] }));
  const stream = delta();
  stream.send({ node: { id: 'n1' }, typeUrl: ROUTE, resourceNamesSubscribe: ['r'] });
  const response = await stream.next();
  assert.equal(response.resources[0]?.ttl, undefined);
  stream.send({ typeUrl: ROUTE, responseNonce: response.nonce });
  const world = sotw();
  world.send({
    node: { id: 'n2', clientFeatures: ['xds.config.supports-resource-ttl'] },
    typeUrl: ROUTE,
    resourceNames: ['r'],
  });
  const plain = await world.next();
  assert.equal(plain.resources[0]?.typeUrl, ROUTE);
  world.send({ typeUrl: ROUTE, resourceNames: ['r'], responseNonce: plain.nonce, versionInfo: plain.versionInfo });
  await stream.silence(500);
  await world.silence(0);
});

test('in the state of the world it is wrapped, and a heartbeat keeps the version (27)', async (t) => {
  const { server, sotw } = await startServer(t, resourcesOf({ endpoint: [expiring('x')] }));
  const stream = sotw();
  stream.send({ node, typeUrl: ENDPOINT, resourceNames: ['r'] });
  const first = await stream.next();
  const wrapped = first.resources[0] === undefined ? undefined : anyUnpack(first.resources[0], ResourceSchema);
  assert.equal(wrapped?.name, 'r');
  assert.equal(Buffer.from(wrapped?.resource?.value ?? []).toString(), 'x');
  const ack = { typeUrl: ENDPOINT, resourceNames: ['r'], versionInfo: first.versionInfo };
  stream.send({ ...ack, responseNonce: first.nonce });
  // A change that is none of its business.
  server.setResources(resourcesOf({ endpoint: [expiring('x'), raw('other', 'y')] }));
  const heartbeat = await stream.next();
  assert.equal(heartbeat.versionInfo, first.versionInfo);
  const beat = heartbeat.resources[0] === undefined ? undefined : anyUnpack(heartbeat.resources[0], ResourceSchema);
  assert.deepEqual([beat?.name, beat?.resource, Number(beat?.ttl?.nanos)], ['r', undefined, 600_000_000]);
});
