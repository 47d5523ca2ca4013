/** The server and the real Envoy: what is sent takes effect. */
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import 'reflect-metadata';
import { cryptoProvider, PemConverter, X509CertificateGenerator } from '@peculiar/x509';
import { type Resources, TYPE_URL } from '../../src/xds/resource.ts';
import type { XdsServer } from '../../src/xds/server.ts';
import type { RejectEvent } from '../../src/xds/status.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { badCluster, certificateSecret, edsCluster, httpListener, loopback, routeTo, startEnvoy } from './envoy.ts';
import { resourcesOf, startXds, withTypes } from './fixture.ts';
import { fetchFrom, startApplication } from './traffic.ts';

const MODES = ['delta', 'sotw'] as const;

async function makeCertificate(commonName: string): Promise<{ readonly certificate: string; readonly key: string }> {
  cryptoProvider.set(webcrypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${commonName}`,
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: algorithm,
    keys,
  });
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { certificate: certificate.toString('pem'), key };
}

for (const mode of MODES) {
  test(`${mode}: clusters, endpoints, listeners, routes and secrets arrive, and follow changes`, async (t) => {
    const dir = await tempDir(t);
    const path = join(dir, 'xds.sock');
    const [a, b, port] = [await startApplication(t, 'a'), await startApplication(t, 'b'), await freePort()];
    const first = await makeCertificate('first');
    const resources = resourcesOf({
      cluster: [edsCluster('one')],
      endpoint: [loopback('one', a)],
      listener: [httpListener('l', port, 'r', 'cert')],
      route: [routeTo('r', 'one')],
      secret: [certificateSecret('cert', first.certificate, first.key)],
    });
    const server = await startXds(t, path, resources);
    const { nodeId } = await startEnvoy(t, mode, dir, path);
    const types = [TYPE_URL.cluster, TYPE_URL.endpoint, TYPE_URL.listener, TYPE_URL.route, TYPE_URL.secret];
    assert.ok(await server.whenUpToDate(nodeId, types, AbortSignal.timeout(60_000)));
    assert.deepEqual(await fetchFrom(port, true), { status: 200, body: 'a', subject: 'CN=first' });
    assert.match(server.status().clients[0]?.userAgent ?? '', /envoy/);

    server.setResources(withTypes(resources, { endpoint: [loopback('one', b)] }));
    await eventually('the new endpoint serves', async () => (await fetchFrom(port, true)).body === 'b');
    const second = await makeCertificate('second');
    server.setResources(withTypes(resources, { secret: [certificateSecret('cert', second.certificate, second.key)] }));
    await eventually('the new certificate', async () => (await fetchFrom(port, true)).subject === 'CN=second');
    server.setResources(withTypes(resources, { listener: [] }));
    await eventually('the listener is gone', () =>
      fetchFrom(port, true).then(
        () => false,
        () => true,
      ),
    );
    assert.equal(server.status().counters.rejected, 0);
  });

  test(`${mode}: a listener that waits for its certificate is acknowledged, which is not in effect (34, 43)`, async (t) => {
    const dir = await tempDir(t);
    const path = join(dir, 'xds.sock');
    const [a, port] = [await startApplication(t, 'a'), await freePort()];
    const listener = [httpListener('l', port, 'r', 'cert')];
    const before = resourcesOf({
      cluster: [edsCluster('one')],
      endpoint: [loopback('one', a)],
      listener: [],
      route: [routeTo('r', 'one')],
    });
    const server = await startXds(t, path, before);
    const { admin, nodeId } = await startEnvoy(t, mode, dir, path);
    assert.ok(await server.whenUpToDate(nodeId, [TYPE_URL.listener], AbortSignal.timeout(60_000)));
    const without = withTypes(before, { listener });
    server.setResources(without);
    await eventually(
      'the listener is acknowledged',
      () => server.resourceCounts().get(TYPE_URL.listener)?.acknowledged === 1,
    );
    assert.match(await admin('/stats?filter=total_listeners_warming'), /: 1$/m);
    await assert.rejects(fetchFrom(port, true), { code: 'ECONNREFUSED' });

    const { certificate, key } = await makeCertificate('late');
    server.setResources(withTypes(without, { secret: [certificateSecret('cert', certificate, key)] }));
    await eventually('it serves', async () => (await fetchFrom(port, true)).subject === 'CN=late');
  });

  test(`${mode}: a cluster that Envoy refuses is reported, and the others serve`, async (t) => {
    const dir = await tempDir(t);
    const path = join(dir, 'xds.sock');
    const [a, b, port] = [await startApplication(t, 'a'), await startApplication(t, 'b'), await freePort()];
    const resources = resourcesOf({
      cluster: [edsCluster('one')],
      endpoint: [loopback('one', a), loopback('two', b)],
      listener: [httpListener('l', port, 'r')],
      route: [routeTo('r', 'one')],
    });
    const rejects: RejectEvent[] = [];
    const server = await startXds(t, path, resources, { onReject: (event) => rejects.push(event) });
    await startEnvoy(t, mode, dir, path);
    server.setResources(
      withTypes(resources, {
        cluster: [edsCluster('one'), badCluster('broken'), edsCluster('two')],
        route: [routeTo('r', 'two')],
      }),
    );
    await eventually('the good cluster beside it', async () => (await fetchFrom(port)).body === 'b');
    assert.deepEqual(
      rejects.map(({ nodeId, typeUrl, names, blamed }) => ({ nodeId, typeUrl, names, blamed })),
      [{ nodeId: 'envoy-1', typeUrl: TYPE_URL.cluster, names: ['broken'], blamed: true }],
    );
    assert.match(rejects[0]?.message ?? '', /broken/);
    await delay(300);
    assert.equal(rejects.length, 1, 'the same thing is not sent again');

    // A route to the refused cluster stays behind, and traffic with what was good.
    server.setResources(
      withTypes(resources, {
        cluster: [edsCluster('one'), badCluster('broken'), edsCluster('two')],
        route: [routeTo('r', 'broken')],
      }),
    );
    await delay(300);
    assert.deepEqual(await fetchFrom(port), { status: 200, body: 'b', subject: undefined });
    server.setResources(
      withTypes(resources, {
        cluster: [edsCluster('one'), edsCluster('broken'), edsCluster('two')],
        endpoint: [loopback('one', a), loopback('two', b), loopback('broken', a)],
        route: [routeTo('r', 'broken')],
      }),
    );
    await eventually('mended', async () => (await fetchFrom(port)).body === 'a');
    await eventually('all is acknowledged', () => server.status().clients[0]?.upToDate === true);
  });

  test(`${mode}: a server that comes back sends what changed meanwhile; nobody notices`, async (t) => {
    const dir = await tempDir(t);
    const path = join(dir, 'xds.sock');
    const [a, b, port] = [await startApplication(t, 'a'), await startApplication(t, 'b'), await freePort()];
    const make = (to: number) =>
      resourcesOf({
        cluster: [edsCluster('one'), edsCluster('other')],
        endpoint: [loopback('one', to), loopback('other', a)],
        listener: [httpListener('l', port, 'r')],
        route: [routeTo('r', 'one')],
      });
    const before = await startXds(t, path, make(a));
    const { nodeId } = await startEnvoy(t, mode, dir, path);
    const types = [TYPE_URL.cluster, TYPE_URL.endpoint, TYPE_URL.listener, TYPE_URL.route];
    assert.ok(await before.whenUpToDate(nodeId, types, AbortSignal.timeout(60_000)));
    const restart = async (from: XdsServer, resources: Resources): Promise<XdsServer> => {
      await from.close(1000);
      assert.equal((await fetchFrom(port)).status, 200, 'with the server away');
      const server = await startXds(t, path, resources);
      assert.ok(await server.whenUpToDate(nodeId, types, AbortSignal.timeout(60_000)));
      return server;
    };
    const same = await restart(before, make(a));
    await delay(200);
    const sent = (server: XdsServer): Record<string, number> =>
      Object.fromEntries(types.map((type) => [type, server.status().clients[0]?.types[type]?.sent ?? -1]));
    // The state of the world has to answer what is asked for by name.
    const named = mode === 'delta' ? 0 : 1;
    assert.deepEqual(Object.values(sent(same)), [0, named, 0, named]);
    assert.equal((await fetchFrom(port)).body, 'a');
    const changed = await restart(same, make(b));
    await eventually('what changed meanwhile', async () => (await fetchFrom(port)).body === 'b');
    assert.deepEqual(Object.values(sent(changed)), [0, 1, 0, named]);
  });

  test(`${mode}: a route moves to a new cluster and the old one goes, with no request failed`, async (t) => {
    const dir = await tempDir(t);
    const path = join(dir, 'xds.sock');
    const [a, port] = [await startApplication(t, 'a'), await freePort()];
    const make = (name: string) =>
      resourcesOf({
        cluster: [edsCluster(name)],
        endpoint: [loopback(name, a)],
        listener: [httpListener('l', port, 'r')],
        route: [routeTo('r', name)],
      });
    const server = await startXds(t, path, make('c0'));
    const { admin } = await startEnvoy(t, mode, dir, path);
    await eventually('serves', async () => (await fetchFrom(port)).status === 200);
    const done = new AbortController();
    const failed: (number | string)[] = [];
    let succeeded = 0;
    const load = async (): Promise<void> => {
      while (!done.signal.aborted) {
        const status = await fetchFrom(port).then((answer) => answer.status, String);
        if (status === 200) succeeded += 1;
        else failed.push(status);
      }
    };
    const running = [load(), load(), load(), load()];
    for (let round = 1; round <= 20; round += 1) {
      server.setResources(make(`c${round}`));
      const before = succeeded;
      await eventually('the change is acknowledged', () => server.status().clients[0]?.upToDate === true);
      await eventually('the load goes on', () => succeeded > before + 4);
    }
    done.abort();
    await Promise.all(running);
    assert.deepEqual(failed, []);
    await eventually('only the last cluster is left', async () => {
      const clusters = new Set((await admin('/clusters')).split('\n').map((line) => line.split('::')[0]));
      return clusters.has('c20') && !clusters.has('c19') && !clusters.has('c0');
    });
    assert.equal(server.status().counters.rejected, 0);
    assert.equal(server.status().counters.overdue, 0);
  });
}
