import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotCapture, twoNamespaces } from './netns.ts';
import { EMPTY_PLAN, load } from './plans.ts';
import { startProxy } from './proxy.ts';
import { call, serve } from './traffic.ts';

const skip = cannotCapture();
const ENVOY = 1800;

test('redirect: what comes from elsewhere to the port goes through Envoy, also where it comes from Envoy itself', {
  skip,
}, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await startProxy(
    t,
    host,
    ['0.0.0.0', '::'].map((address) => ({ address, port: 15006, to: { address: '127.0.0.1', port: 8080 } })),
  );
  await serve(host, 'app', '::|8080', '::|8081');
  await load(t, host, { ...EMPTY_PLAN, inbound: [{ port: 8080, how: 'redirect', onProxyFailure: 'deny' }] });
  assert.equal(await call(other, '10.9.0.1', 8080), 'app 127.0.0.1 -> 127.0.0.1:8080');
  assert.equal(await call(other, '2001:db8:9::1', 8080), 'app 127.0.0.1 -> 127.0.0.1:8080');
  assert.equal(await call(other, '10.9.0.1', 8081), 'app 10.9.0.2 -> 10.9.0.1:8081');
  await t.test('Envoy’s own call of the host’s address arrives there too, others of this host pass', async () => {
    assert.equal(await call(host, '10.9.0.1', 8080, { uid: EMPTY_PLAN.envoyUid }), 'app 127.0.0.1 -> 127.0.0.1:8080');
    assert.equal(await call(host, '10.9.0.1', 8080, { uid: 1001 }), 'app 10.9.0.1 -> 10.9.0.1:8080');
    assert.equal(await call(host, '127.0.0.1', 8080, { uid: EMPTY_PLAN.envoyUid }), 'app 127.0.0.1 -> 127.0.0.1:8080');
  });
  await t.test('nobody reaches the capture port itself', async () => {
    assert.equal(await call(other, '10.9.0.1', 15006), 'ECONNREFUSED');
    assert.equal(await call(other, '2001:db8:9::1', 15006), 'ECONNREFUSED');
    assert.equal(await call(host, '127.0.0.1', 15006), 'ECONNREFUSED');
  });
  await t.test('an interface without an address of its own redirects as well', async () => {
    await host.run('ip', 'address', 'add', '10.9.9.1/32', 'dev', 'lo');
    await host.run('ip', 'address', 'del', '10.9.0.1/24', 'dev', 'v0');
    await host.run('ip', 'route', 'add', '10.9.0.2/32', 'dev', 'v0');
    await other.run('ip', 'route', 'add', '10.9.9.1/32', 'dev', 'v0');
    assert.equal(await call(other, '10.9.9.1', 8080), 'app 127.0.0.1 -> 127.0.0.1:8080');
  });
});

test('an application on the host’s own address is called from 127.0.0.6, and not captured again', {
  skip,
}, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await startProxy(t, host, [
    { address: '0.0.0.0', port: 15006, to: { address: '10.9.0.1', port: 8080, from: '127.0.0.6' } },
    { address: '::', port: 15006, to: { address: '2001:db8:9::1', port: 8080, from: '::6' } },
  ]);
  await serve(host, 'app', '10.9.0.1|8080', '2001:db8:9::1|8080');
  await host.run('ip', '-6', 'address', 'add', '::6/128', 'dev', 'lo', 'nodad');
  await load(t, host, {
    ...EMPTY_PLAN,
    inbound: [{ port: 8080, how: 'redirect', onProxyFailure: 'deny' }],
    callers: [{ port: 15001, match: { kind: 'rest' } }],
  });
  assert.equal(await call(other, '10.9.0.1', 8080), 'app 127.0.0.6 -> 10.9.0.1:8080');
  assert.equal(await call(other, '2001:db8:9::1', 8080), 'app ::6 -> 2001:db8:9::1:8080');
});

test('tproxy: the application sees its caller’s own address', { skip }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  // Another firewall that drops what comes from elsewhere to ports that it does not know.
  await host.run(
    'nft',
    'add table inet fw; add chain inet fw in { type filter hook input priority 0; policy accept; }; add rule inet fw in iifname v0 tcp dport 15006 drop',
  );
  await startProxy(t, host, [
    { address: '0.0.0.0', port: 15006, to: { address: '10.9.0.1', port: 8080 }, keepsCaller: true },
    { address: '::', port: 15006, to: { address: '2001:db8:9::1', port: 8080 }, keepsCaller: true },
  ]);
  await serve(host, 'app', '::|8080');
  for (const family of ['-4', '-6']) {
    await host.run('ip', family, 'rule', 'add', 'fwmark', '1337', 'lookup', '133');
    await host.run('ip', family, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '133');
  }
  await load(t, host, { ...EMPTY_PLAN, inbound: [{ port: 8080, how: 'tproxy', onProxyFailure: 'deny' }] });
  assert.equal(await call(other, '10.9.0.1', 8080), 'app 10.9.0.2 -> 10.9.0.1:8080');
  assert.equal(await call(other, '2001:db8:9::1', 8080), 'app 2001:db8:9::2 -> 2001:db8:9::1:8080');
  assert.equal(await call(other, '10.9.0.1', 15006), 'ECONNREFUSED');
});

test('deny: without the capture table nobody from elsewhere reaches the application, and ssh is still there', {
  skip,
}, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await serve(host, 'app', '::|8080', '::|9090', '::|22');
  await load(t, host, {
    ...EMPTY_PLAN,
    envoyUid: ENVOY,
    inbound: [
      { port: 8080, how: 'redirect', onProxyFailure: 'deny' },
      { port: 9090, how: 'redirect', onProxyFailure: 'direct' },
    ],
    callers: [{ port: 15101, match: { kind: 'uid', uid: 1001 } }],
    outboundOnFailure: 'deny',
  });
  await serve(other, 'direct', '::|81', '::|22');
  await host.run('nft', 'delete', 'table', 'inet', 'trysail');
  for (const address of ['10.9.0.1', '2001:db8:9::1']) {
    assert.equal(await call(other, address, 8080), 'ECONNREFUSED');
    assert.match(await call(other, address, 9090), /^app /);
    assert.match(await call(other, address, 22), /^app /);
  }
  assert.match(await call(host, '127.0.0.1', 8080), /^app /);
  for (const address of ['10.9.0.2', '2001:db8:9::2']) {
    assert.match(await call(host, address, 81, { uid: 1001 }), /^E(?:HOSTUNREACH|CONNREFUSED|ACCES)$/);
    assert.match(await call(host, address, 22, { uid: 1001 }), /^direct /);
    for (const uid of [1002, ENVOY, EMPTY_PLAN.agentUid])
      assert.match(await call(host, address, 81, { uid }), /^direct /);
  }
});
