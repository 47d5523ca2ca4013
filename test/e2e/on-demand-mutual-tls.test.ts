// A service that nobody has declared, called for the first time over mutual TLS: Consul, CA, two agents, two Envoys.
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startHost } from '../support/local-mesh.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { loopbackNet, startTwoHosts } from './two-hosts.ts';

test('the first call of a host that has declared nothing carries its identity', async (t) => {
  const mesh = await startTwoHosts(t);
  const address = `${loopbackNet()}.9`;
  const [dnsPort = 0] = await freePorts(1);
  const proxyPort = await freePort();
  const host = await startHost(t, {
    dir: mesh.dir,
    resources: mesh.resources,
    ca: mesh.ca,
    consul: mesh.consul.address,
    name: 'newcomer',
    address,
    services: [{ name: 'newcomer' }],
    overrides: {
      dns: { enabled: true, listen: `127.0.0.1:${dnsPort}`, addresses: ['127.234.0.0/16'] },
      discovery: { proxy: `127.0.0.1:${proxyPort}` },
    },
  });
  await host.ready();
  const resolver = new Resolver({ timeout: 20_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${dnsPort}`]);
  // Whom a busy machine has waiting for more than two seconds is refused, and asks again.
  const [at = ''] = await eventually('the name resolves', async () => resolver.resolve4('backend.default.mesh'));
  const response = await eventually('an answer', async () => {
    const one = await fetch(`http://${at}:${mesh.servicePort}/`);
    assert.equal(one.status, 200);
    return one;
  });
  const headers = (await response.json()) as Record<string, string>;
  assert.match(headers['x-forwarded-client-cert'] ?? '', /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/newcomer/);
});
