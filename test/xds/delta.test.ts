import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TYPE_URL } from '../../src/xds/resource.ts';
import { assignment, cluster, resourcesOf, startServer, withTypes } from './fixture.ts';

const node = { id: 'n1' };

test('a wildcard client gets all clusters, and then only what changed', async (t) => {
  const resources = resourcesOf({ cluster: [cluster('a'), cluster('b')] });
  const { server, delta } = await startServer(t, resources);
  const stream = delta();
  stream.send({ node, typeUrl: TYPE_URL.cluster });
  const first = await stream.next();
  assert.deepEqual(first.resources.map((r) => r.name).sort(), ['a', 'b']);
  assert.equal(first.typeUrl, TYPE_URL.cluster);
  assert.notEqual(first.nonce, '');
  assert.equal(first.resources[0]?.resource?.typeUrl, TYPE_URL.cluster);
  stream.send({ typeUrl: TYPE_URL.cluster, responseNonce: first.nonce });
  await stream.silence();
  server.setResources(withTypes(resources, { cluster: [cluster('a'), cluster('b', 2)] }));
  const second = await stream.next();
  assert.deepEqual(
    second.resources.map((r) => r.name),
    ['b'],
  );
  assert.notEqual(second.nonce, first.nonce);
});
test('endpoints', async (t) => {
  const { delta } = await startServer(t, resourcesOf({ endpoint: [assignment('a', 1)] }));
  const stream = delta();
  stream.send({ node, typeUrl: TYPE_URL.endpoint, resourceNamesSubscribe: ['a', 'x'] });
  const first = await stream.next();
  assert.deepEqual(first.removedResources, ['x']);
  assert.deepEqual(
    first.resources.map((r) => r.name),
    ['a'],
  );
});
