// The least policy of docs/consul.md works on a real Consul that denies by default; anything less fails with what is missing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ConsulClient } from '../../src/consul/client.ts';
import { TrysailError } from '../../src/lib/errors.ts';
import { silentLog } from '../../src/lib/log.ts';
import { Registrar } from '../../src/register/registrar.ts';
import { CatalogueWatcher } from '../../src/sources/catalogue-watcher.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/tools.ts';
import { startAclConsul } from './acl.ts';

/** The policy as the page prints it, for a host that runs `reviews` and `payments--web`. */
function documentedPolicy(): string {
  const page = readFileSync(join(ROOT, 'docs/consul.md'), 'utf8');
  const block = /```hcl\n# trysail-agent[^\n]*\n(?<rules>[\s\S]*?)```/.exec(page)?.groups?.['rules'];
  assert.ok(block !== undefined, 'docs/consul.md has the policy');
  return block;
}

const config = { sentinelService: 'consul', massCriticalShare: 0.7, holdMs: 1000 };

function registrarOf(t: TestContext, client: ConsulClient): Registrar {
  const plain = {
    namespace: 'default',
    address: '127.0.0.1',
    tags: [],
    version: undefined,
    labels: {},
    weights: { passing: 1, warning: 1 },
    protocol: undefined,
    locality: undefined,
    offersMtls: true,
    check: { kind: 'ttl', ttlMs: 60_000 },
    proxyHealth: undefined,
    deregisterAfterMs: 60_000,
  } as const;
  const registrar = new Registrar({
    client,
    log: silentLog(),
    hostName: 'vm-1',
    instances: [
      { ...plain, name: 'reviews', port: 9080 },
      { ...plain, name: 'web', namespace: 'payments', port: 9443 },
    ],
  });
  t.after(() => registrar.stop());
  registrar.start();
  return registrar;
}

test('the documented policy is enough: register, report, discover, deregister', async (t) => {
  const acl = await startAclConsul(t);
  const client = acl.client(await acl.token(documentedPolicy()));
  const registrar = registrarOf(t, client);
  await eventually('registered', () => registrar.status().services.every((s) => s.registered && s.error === undefined));
  assert.equal(await registrar.reportTtl('reviews-vm-1', 'passing'), true);
  const watcher = new CatalogueWatcher({ client, config, log: silentLog(), onChange: () => undefined });
  t.after(() => watcher.stop());
  watcher.setInterest(new Set(['reviews', 'payments--web', 'nobody']));
  await eventually('both are in the catalogue, the third is none', () => {
    const { services } = watcher.state;
    assert.equal(services.get('reviews')?.[0]?.status, 'passing');
    assert.equal(services.get('payments--web')?.length, 1);
    assert.deepEqual(services.get('nobody'), []);
    assert.deepEqual(watcher.state.diagnostics, []);
  });
  assert.equal(await registrar.deregister(), true);
  await eventually('gone', () => watcher.state.services.get('reviews')?.length === 0);
});

test('less than the policy fails, and the error names the rule that is missing', async (t) => {
  const acl = await startAclConsul(t);
  const lesser = documentedPolicy().replaceAll(/^service "payments--web".*$/gm, '');
  assert.notEqual(lesser, documentedPolicy());
  const registrar = registrarOf(t, acl.client(await acl.token(lesser)));
  await eventually('one registered, one denied', () => {
    const [reviews, web] = registrar.status().services;
    assert.equal(reviews?.registered, true);
    assert.equal(reviews.error, undefined);
    assert.equal(web?.registered, false);
    assert.equal(web.error?.code, 'CONSUL_ACL_DENIED');
    assert.match(web.error.message, new RegExp(acl.consul.address));
    assert.match(web.error.remedy ?? '', /service "payments--web" \{ policy = "write" \}/);
  });
});

test('a token that Consul does not know is denied everywhere', async (t) => {
  const acl = await startAclConsul(t);
  const client = acl.client('99999999-2222-3333-4444-555555555555');
  await assert.rejects(
    client.health('consul'),
    (error) => error instanceof TrysailError && error.code === 'CONSUL_ACL_DENIED',
  );
  const registrar = registrarOf(t, client);
  await eventually('denied', () => registrar.status().services.every((s) => s.error?.code === 'CONSUL_ACL_DENIED'));
});

test('endpoints are held when the token loses its rights, and released when it gets them back', async (t) => {
  const acl = await startAclConsul(t);
  await acl.put('/v1/agent/service/register', { ID: 'ratings-1', Name: 'ratings', Address: '127.0.0.1', Port: 9082 });
  let current = await acl.token(documentedPolicy());
  const { createConsulClient } = await import('../../src/consul/client.ts');
  const client = createConsulClient({ address: acl.consul.address, token: () => Promise.resolve(current) });
  t.after(() => client.close());
  const watcher = new CatalogueWatcher({ client, config, log: silentLog(), onChange: () => undefined });
  t.after(() => watcher.stop());
  watcher.setInterest(new Set(['ratings']));
  await eventually('seen', () => watcher.state.services.get('ratings')?.length === 1);
  const before = watcher.state.services.get('ratings');
  await acl.revoke(current);
  // Anything that changes wakes the blocking query, which then sees nothing.
  await acl.put('/v1/agent/service/register', { ID: 'ratings-1', Name: 'ratings', Address: '127.0.0.1', Port: 9083 });
  await eventually('the alert', () => watcher.state.diagnostics.some((d) => d.code === 'TRY0602'));
  assert.equal(watcher.state.services.get('ratings'), before);
  assert.equal(watcher.status().services[0]?.hidden, true);
  current = await acl.token(documentedPolicy());
  await eventually('the change arrives and the alert ends', () => {
    assert.equal(watcher.state.services.get('ratings')?.[0]?.port, 9083);
    assert.deepEqual(watcher.state.diagnostics, []);
  });
});

test('without node:read the catalogue looks empty, and is not believed', async (t) => {
  const acl = await startAclConsul(t);
  const lesser = documentedPolicy().replaceAll(/^node_prefix.*$/gm, '');
  assert.notEqual(lesser, documentedPolicy());
  const client = acl.client(await acl.token(lesser));
  assert.deepEqual((await client.health('consul')).value, []);
  const watcher = new CatalogueWatcher({ client, config, log: silentLog(), onChange: () => undefined });
  t.after(() => watcher.stop());
  watcher.setInterest(new Set(['reviews']));
  await eventually('the alert', () => {
    const [alert] = watcher.state.diagnostics;
    assert.equal(alert?.code, 'TRY0602');
    assert.match(alert.message, /reviews.*"consul"/);
    assert.match(alert.remedy ?? '', /node_prefix/);
  });
  assert.equal(watcher.state.services.has('reviews'), false);
});
