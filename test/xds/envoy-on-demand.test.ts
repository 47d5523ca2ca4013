/**
 * The real Envoy asks for clusters and virtual hosts when a request needs them. It waits for an answer longer than the
 * request does (a minute, or for ever, against 5 s), so a status says that the server answered.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { type Resource, TYPE_URL } from '../../src/xds/resource.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import {
  edsCluster,
  httpListener,
  loopback,
  onDemandFilter,
  routeByHeader,
  routeOnDemand,
  startEnvoy,
  virtualHostTo,
} from './envoy.ts';
import { resourcesOf, startXds, withTypes } from './fixture.ts';
import { fetchFrom, startApplication } from './traffic.ts';

const onDemand = (resource: Resource): Resource => ({ ...resource, onDemand: true });

test('a cluster is pulled in by the first request to it, and one that is nowhere fails that request (38)', async (t) => {
  const dir = await tempDir(t);
  const path = join(dir, 'xds.sock');
  const [a, b, port] = [await startApplication(t, 'a'), await startApplication(t, 'b'), await freePort()];
  const resources = resourcesOf({
    cluster: [edsCluster('always'), onDemand(edsCluster('lazy')), onDemand(edsCluster('unused'))],
    endpoint: [loopback('always', a), loopback('lazy', b), loopback('unused', b), loopback('late', a)],
    listener: [httpListener('l', port, 'r', undefined, [onDemandFilter('60s')])],
    route: [routeByHeader('r')],
  });
  const first = await startXds(t, path, resources);
  const { admin, nodeId } = await startEnvoy(t, 'delta', dir, path);
  const types = [TYPE_URL.cluster, TYPE_URL.listener, TYPE_URL.route];
  assert.ok(await first.whenUpToDate(nodeId, types, AbortSignal.timeout(60_000)));
  const clusters = async (): Promise<string[]> =>
    [...new Set((await admin('/clusters')).split('\n').map((line) => line.split('::')[0] ?? ''))]
      .filter((name) => name !== '' && name !== 'xds')
      .sort();
  const ask = async (cluster: string): Promise<number | string> => {
    const { status, body } = await fetchFrom(port, false, { 'x-cluster': cluster });
    return status === 200 ? body : status;
  };
  assert.deepEqual(await clusters(), ['always']);
  assert.equal(await ask('always'), 'a');

  assert.equal(await ask('lazy'), 'b', 'the very first request');
  assert.deepEqual(await clusters(), ['always', 'lazy']);
  assert.equal(await ask('late'), 503);
  assert.equal(await ask('always'), 'a');

  // Envoy has asked for it and still wants it.
  const withLate = withTypes(resources, {
    cluster: [
      edsCluster('always'),
      onDemand(
        edsCluster('lazy', {
          edsClusterConfig: { edsConfig: { ads: {}, resourceApiVersion: 'V3' }, serviceName: 'always' },
        }),
      ),
      onDemand(edsCluster('unused')),
      onDemand(edsCluster('late')),
    ],
  });
  first.setResources(withLate);
  await eventually('a cluster that appears later', async () => (await ask('late')) === 'a');
  await eventually('a changed cluster', async () => (await ask('lazy')) === 'a');
  assert.deepEqual(await clusters(), ['always', 'late', 'lazy']);
  assert.equal(first.status().counters.rejected, 0);

  await first.close(1000);
  const second = await startXds(t, path, withLate);
  assert.ok(await second.whenUpToDate(nodeId, types, AbortSignal.timeout(60_000)));
  assert.equal(second.status().clients[0]?.types[TYPE_URL.cluster]?.sent, 0, 'named again, and held');
  assert.equal(await ask('lazy'), 'a');

  second.setResources(withTypes(withLate, { cluster: [edsCluster('always'), onDemand(edsCluster('late'))] }));
  await eventually('one is removed', async () => isDeepStrictEqual(await clusters(), ['always', 'late']));
  // Envoy does not ask again for what it once asked for, and waits to be told.
  const waiting = ask('lazy');
  await eventually('it waits', async () =>
    /http\.l\.downstream_rq_active: 1$/m.test(await admin('/stats?filter=rq_active')),
  );
  second.setResources(resources);
  assert.equal(await waiting, 'b', 'back while a request waits for it');
  await eventually('the other is gone', async () => isDeepStrictEqual(await clusters(), ['always', 'lazy']));
  assert.equal(second.status().counters.rejected, 0);
});

test('a virtual host is pulled in by the first request to it, and an unknown host is not found (39)', async (t) => {
  const dir = await tempDir(t);
  const path = join(dir, 'xds.sock');
  const [a, b, port] = [await startApplication(t, 'a'), await startApplication(t, 'b'), await freePort()];
  const reviews = (cluster: string): Resource => ({
    ...virtualHostTo('r/reviews', ['reviews', 'reviews.mesh'], cluster),
    aliases: ['r/reviews.mesh'],
  });
  const late = virtualHostTo('r/late', ['late'], 'two');
  const resources = resourcesOf({
    cluster: [edsCluster('one'), edsCluster('two')],
    endpoint: [loopback('one', a), loopback('two', b)],
    listener: [httpListener('l', port, 'r', undefined, [onDemandFilter()])],
    route: [routeOnDemand('r')],
    virtualHost: [reviews('one'), virtualHostTo('r/details', ['details'], 'two')],
  });
  const server = await startXds(t, path, resources);
  const { nodeId } = await startEnvoy(t, 'delta', dir, path);
  const types = [TYPE_URL.cluster, TYPE_URL.endpoint, TYPE_URL.listener, TYPE_URL.route, TYPE_URL.virtualHost];
  assert.ok(await server.whenUpToDate(nodeId, types, AbortSignal.timeout(60_000)));
  const ask = async (host: string): Promise<number | string> => {
    const { status, body } = await fetchFrom(port, false, { host });
    return status === 200 ? body : status;
  };
  assert.equal(await ask('details'), 'b', 'the very first request, by name');
  assert.equal(await ask('reviews.mesh'), 'a', 'by alias');
  assert.equal(await ask('reviews'), 'a');
  assert.equal(await ask('late'), 404);
  assert.equal(await ask('nowhere'), 404);

  const changed = withTypes(resources, { virtualHost: [reviews('two'), late] });
  server.setResources(changed);
  await eventually('a virtual host that changed', async () => (await ask('reviews.mesh')) === 'b');
  await eventually('one that appeared', async () => (await ask('late')) === 'b');
  await eventually('one that is gone', async () => (await ask('details')) === 404);
  server.setResources(
    withTypes(changed, { virtualHost: [reviews('one'), virtualHostTo('r/details', ['details'], 'one')] }),
  );
  await eventually('and is back', async () => (await ask('details')) === 'a');
  assert.equal(server.status().counters.rejected, 0);
});
