/** Envoy's answers for the names of the mesh, over our own xDS. */
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Host, NamedUpstream } from '../../src/model/host.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { startAgentlet } from '../translate/agentlet.ts';
import { call, httpApplication } from '../translate/applications.ts';
import { endpoint, host, mesh, SERVICE_PORT, service } from '../translate/mesh-literals.ts';
import { type DnsAnswer, dnsClient } from './dns-client.ts';

const REVIEWS = service('reviews', 'HTTP', { tls: 'plain' });
const RATINGS = service('ratings', 'HTTP', { tls: 'plain', host: 'ratings.shop.mesh', namespace: 'shop' });
const EXTERNAL = service('api', 'HTTP', { tls: 'plain', host: 'api.example.com', aliases: [], external: true });
const MESH = mesh([REVIEWS, RATINGS, EXTERNAL].map((item) => [item, []]));

const NAMED: readonly NamedUpstream[] = [
  { serviceHost: 'reviews.default.mesh', addresses: ['127.240.0.1'] },
  { serviceHost: 'ratings.shop.mesh', addresses: ['127.240.0.2', '2001:2::2'] },
  { serviceHost: 'api.example.com', addresses: ['127.240.0.3'] },
  { serviceHost: 'unknown.default.mesh', addresses: ['127.240.0.4'] },
];

async function named(
  namedUpstreams: readonly NamedUpstream[] = NAMED,
): Promise<Host & { dns: { listen: { port: number } } }> {
  const listen = { address: '127.0.0.1', port: await freePort() };
  return { ...host({ callerIdentity: undefined, namedUpstreams }), dns: { listen } };
}

async function answering(t: TestContext): Promise<ReturnType<typeof dnsClient>> {
  const self = await named();
  const agent = await startAgentlet(t, self);
  agent.serve(MESH, []);
  const client = dnsClient(t, self.dns.listen.port);
  await eventually('Envoy answers', () => client.ask('reviews.mesh', 'A', 200));
  assert.deepEqual(agent.rejected, []);
  return client;
}

const found = (...addresses: readonly string[]): DnsAnswer => ({
  code: 'NOERROR',
  addresses,
  ttls: addresses.map(() => 30),
});
const no = (code: DnsAnswer['code']): DnsAnswer => ({ code, addresses: [], ttls: [] });

test('every name of a service resolves, in both families', async (t) => {
  const client = await answering(t);
  for (const name of ['reviews.default.mesh', 'reviews.mesh', 'reviews.service.consul', 'reviews.default.mesh.']) {
    const plain = name.replace(/\.$/, '');
    assert.deepEqual(await client.ask(plain, 'A'), found('127.240.0.1'), name);
    assert.deepEqual(await client.ask(plain, 'AAAA'), found('0:0:0:0:0:ffff:7ff0:1'), name);
  }
  assert.deepEqual(await client.ask('ratings.shop.mesh', 'AAAA'), found('2001:2:0:0:0:0:0:2'));
  assert.deepEqual(await client.ask('ratings.mesh', 'A'), no('NXDOMAIN'), 'short names are of namespace default');
  assert.deepEqual(await client.ask('api.example.com', 'A'), found('127.240.0.3'));
  for (const name of ['unknown.default.mesh', 'unknown.service.consul', 'unknown.default.svc.cluster.local'])
    assert.deepEqual(await client.ask(name, 'A'), found('127.240.0.4'), name);
});

test('names that are not ours are NXDOMAIN, other records NOTIMP: at once, and never SERVFAIL', async (t) => {
  const client = await answering(t);
  for (const name of ['nobody.mesh', 'mesh', 'x.reviews.mesh', 'v1.reviews.service.consul', 'www.example.com']) {
    assert.deepEqual(await client.ask(name, 'A'), no('NXDOMAIN'), name);
    assert.deepEqual(await client.ask(name, 'AAAA'), no('NXDOMAIN'), name);
  }
  for (const type of ['MX', 'TXT', 'SOA', 'HTTPS', 'ANY', 'PTR'] as const) {
    assert.deepEqual(await client.ask('reviews.mesh', type), no('NOTIMP'), type);
    assert.deepEqual(await client.ask('nobody.mesh', type), no('NOTIMP'), type);
  }
  assert.deepEqual(await client.ask('reviews.mesh', 'SRV'), no('NXDOMAIN'));
});

test('names are compared letter by letter: another spelling is another name', async (t) => {
  const client = await answering(t);
  assert.deepEqual(await client.ask('Reviews.Mesh', 'A'), no('NXDOMAIN'));
});

test('there is no TCP: a resolver that was not cut off has no cause for it', async (t) => {
  const self = await named();
  const agent = await startAgentlet(t, self);
  agent.serve(MESH, []);
  const client = dnsClient(t, self.dns.listen.port);
  await eventually('Envoy answers', () => client.ask('reviews.mesh', 'A', 200));
  await assert.rejects(
    new Promise((resolve, reject) => {
      connect(self.dns.listen.port, '127.0.0.1', () => resolve(undefined)).once('error', reject);
    }),
    { code: 'ECONNREFUSED' },
  );
});

test('before the first configuration nobody listens: a resolver learns that at once', async (t) => {
  const self = await named();
  await startAgentlet(t, self);
  const resolver = new Resolver({ timeout: 10_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${self.dns.listen.port}`]);
  await assert.rejects(resolver.resolve4('reviews.mesh'), { code: 'ECONNREFUSED' });
});

test('a change of the names loses no query, and each answer is the old one or the new', async (t) => {
  const self = await named();
  const agent = await startAgentlet(t, self);
  agent.serve(MESH, []);
  const client = dnsClient(t, self.dns.listen.port);
  await eventually('Envoy answers', () => client.ask('reviews.mesh', 'A', 200));
  const stopping = new AbortController();
  const lost: string[] = [];
  let asked = 0;
  const asking = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (!stopping.signal.aborted) {
        asked++;
        await client.ask('reviews.mesh', 'A').then(
          ({ code, addresses }) => {
            if (code !== 'NOERROR' || !/^127\.240\.0\.1$/.test(addresses[0] ?? ''))
              lost.push(`${code} ${addresses.join()}`);
          },
          (error: unknown) => lost.push(String(error)),
        );
      }
    }),
  );
  for (let i = 1; i <= 20; i++) {
    const extra = { serviceHost: `s${i}.default.mesh`, addresses: [`127.240.1.${i}`] };
    agent.serve(MESH, [], { ...self, namedUpstreams: [...NAMED, extra] });
    await eventually('the new name is there', async () => {
      const { addresses } = await client.ask(`s${i}.mesh`, 'A');
      return addresses[0] === `127.240.1.${i}`;
    });
    await delay(5);
  }
  await eventually('enough were asked', () => asked > 100);
  stopping.abort();
  await asking;
  assert.deepEqual(lost, []);
  assert.deepEqual(agent.rejected, []);
});

test('a name that resolves leads to the service', async (t) => {
  const applicationPort = await freePort();
  await httpApplication(t, applicationPort, 'reviews');
  const self = await named([{ serviceHost: 'reviews.default.mesh', addresses: ['127.240.77.1'] }]);
  const agent = await startAgentlet(t, self);
  agent.serve(mesh([[REVIEWS, [endpoint('127.0.0.1', applicationPort)]]]), []);
  const resolver = new Resolver({ timeout: 5000, tries: 3 });
  resolver.setServers([`127.0.0.1:${self.dns.listen.port}`]);
  const [address] = await eventually('the name resolves', () => resolver.resolve4('reviews.default.mesh'));
  assert.equal(address, '127.240.77.1');
  const answer = await eventually('the service answers', () =>
    call(SERVICE_PORT, { host: address ?? '', headers: { host: `reviews.default.mesh:${SERVICE_PORT}` } }),
  );
  assert.equal(answer.headers['x-app'], 'reviews');
  const [mapped] = await resolver.resolve6('reviews.default.mesh');
  const again = await call(SERVICE_PORT, { host: mapped ?? '' });
  assert.equal(again.headers['x-app'], 'reviews', 'by the mapped address as well');
});
