// The least ACL rules of docs/fleet.md: a host only reads, a team's token writes in its own namespace alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConsulClient } from '../../src/consul/client.ts';
import { applyResources, type OpenFleet } from '../../src/fleet/fleet.ts';
import { addPublisher, initialiseFleet } from '../../src/fleet/fleet-admin.ts';
import { FleetStore } from '../../src/fleet/fleet-store.ts';
import { headKey, STATUS_PREFIX, statusKey } from '../../src/fleet/layout.ts';
import { createSigningKey, publicHalf } from '../../src/fleet/signing-key.ts';
import { startAclConsul } from '../consul/acl.ts';
import { answering, manifestsOf } from './fleet-lab.ts';

const READ = 'key_prefix "trysail/v1/" { policy = "read" }';
const HOST = `${READ} key "trysail/v1/status/web-1" { policy = "write" }`;
const TEAM = `${READ} key_prefix "trysail/v1/ns/shop/" { policy = "write" }`;
const OWNER = 'key_prefix "trysail/v1/" { policy = "write" }';

test('tokens with the rules of docs/fleet.md', async (t) => {
  const acl = await startAclConsul(t);
  const [root, admin, team] = [createSigningKey(), createSigningKey(), createSigningKey()];
  const open = (client: ConsulClient): OpenFleet => ({
    store: new FleetStore(client.kv, [publicHalf(root)]),
    close: () => client.close(),
  });
  const owner = acl.client(await acl.token(OWNER));
  const everything = { namespaces: ['*'], kinds: ['*'] };
  await initialiseFleet(
    owner,
    root,
    { ...everything, name: 'admin', publicKey: publicHalf(admin), mayFreeze: true },
    'deny',
  );
  await addPublisher(open(owner), root, {
    name: 'team',
    publicKey: publicHalf(team),
    namespaces: ['shop', 'pay'],
    kinds: ['*'],
    mayFreeze: false,
  });
  const teams = acl.client(await acl.token(TEAM));
  const publish = async (client: ConsulClient, namespace: string): Promise<unknown> =>
    applyResources(open(client), { manifests: manifestsOf(answering('web', 200, namespace)) }, { key: team });
  await publish(teams, 'shop');
  await assert.rejects(publish(teams, 'pay'), /Permission denied|CONSUL_ACL_DENIED|403/);
  const host = acl.client(await acl.token(HOST));
  assert.ok((await host.kv.get(headKey('shop'))).value);
  await assert.rejects(host.kv.put(headKey('shop'), Buffer.from('x')), { code: 'CONSUL_ACL_DENIED' });
  await host.kv.put(statusKey('web-1'), Buffer.from('{}'));
  await assert.rejects(host.kv.put(statusKey('web-2'), Buffer.from('{}')), { code: 'CONSUL_ACL_DENIED' });
  assert.equal((await teams.kv.list(STATUS_PREFIX)).value.length, 1, 'publishers see what hosts say');
});
