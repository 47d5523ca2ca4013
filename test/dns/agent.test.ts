/** The whole program: a service that is called by its name, with the agent there, killed, and back. */
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTwoHosts } from '../e2e/two-hosts.ts';
import { eventually } from '../support/eventually.ts';
import { startHost } from '../support/local-mesh.ts';
import { freePort } from '../support/ports.ts';

test('a service by name: DNS, mutual TLS, the same address for good', async (t) => {
  const mesh = await startTwoHosts(t);
  const dnsPort = await freePort();
  const range = `127.${241 + (process.pid % 10)}.0.0/16`;
  const caller = await startHost(t, {
    ...mesh,
    consul: mesh.consul.address,
    name: 'by-name',
    address: mesh.backendAddress.replace(/\d+$/, '3'),
    services: [{ name: 'caller' }],
    upstreams: [{ service: 'backend' }],
    overrides: { dns: { listen: `127.0.0.1:${dnsPort}`, addresses: [range] } },
  });
  await caller.ready();
  const resolver = new Resolver({ timeout: 5000, tries: 3 });
  resolver.setServers([`127.0.0.1:${dnsPort}`]);
  const resolved = async (name: string): Promise<string | undefined> => (await resolver.resolve4(name))[0];
  const address = await eventually('the name resolves', () => resolved('backend.default.mesh'));
  assert.match(address ?? '', new RegExp(`^${range.split('.', 2).join('\\.')}\\.`));
  for (const name of ['backend.mesh', 'backend.service.consul', 'backend.default.svc.cluster.local'])
    assert.equal(await resolved(name), address, name);
  const called = async (): Promise<string> => {
    const headers = await (await fetch(`http://${address ?? ''}:${mesh.servicePort}/`)).json();
    return String((headers as Record<string, unknown>)['x-forwarded-client-cert']);
  };
  await eventually('the service answers', async () =>
    assert.match(await called(), /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/caller/),
  );
  const domains = await eventually('the resolver is told', () => readFile(join(caller.runDir, 'dns-domains'), 'utf8'));
  assert.deepEqual(domains.trim().split('\n'), [
    `listen 127.0.0.1:${dnsPort}`,
    'backend.default.svc.cluster.local',
    'backend.service.consul',
    'mesh',
  ]);
  assert.match(await readFile(join(caller.stateDir, 'addresses.json'), 'utf8'), /"backend\.default\.mesh"/);

  await caller.child.stop('SIGKILL');
  assert.equal(await resolved('backend.mesh'), address, 'names live while the agent is away');
  assert.match(await called(), /sa\/caller/);

  caller.start();
  await caller.ready();
  assert.equal(await resolved('backend.mesh'), address);
  assert.match(await called(), /sa\/caller/);
  await eventually('status says that this machine does not ask Envoy', async () => {
    const { diagnostics } = await caller.status();
    return diagnostics.some(({ code }) => code === 'TRY0109');
  });
});
