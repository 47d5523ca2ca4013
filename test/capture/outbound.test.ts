import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { CapturePlan } from '../../src/platform/vm/capture-plan.ts';
import { cannotCapture, cannotUseCgroups, type Hosts, makeCgroup, twoNamespaces } from './netns.ts';
import { EMPTY_PLAN, load } from './plans.ts';
import { type ProxyListener, startProxy } from './proxy.ts';
import { call, serve } from './traffic.ts';

const skip = cannotCapture();

const both = (port: number, to: ProxyListener['to'] = 'answer'): readonly ProxyListener[] => [
  { address: '127.0.0.1', port, to },
  { address: '::1', port, to },
];

/** A host with an Envoy that answers at 15001, 15101 and 15102, and a server on the other one. */
async function capturing(t: TestContext, plan: Partial<CapturePlan>): Promise<Hosts> {
  const hosts = await twoNamespaces(t);
  await Promise.all([
    startProxy(
      t,
      hosts.host,
      [15001, 15101, 15102].flatMap((port) => both(port)),
    ),
    serve(hosts.other, 'direct', '::|81', '::|22', '::|8500', '::|7000', '::|2222'),
    serve(hosts.host, 'local', '127.0.0.1|81', '::1|81'),
  ]);
  await load(t, hosts.host, { ...EMPTY_PLAN, ...plan });
  return hosts;
}

test('calls of a user arrive at its port, of others at none, over IPv4 and IPv6', { skip }, async (t) => {
  const { host } = await capturing(t, {
    callers: [
      { port: 15101, match: { kind: 'uid', uid: 1001 } },
      { port: 15102, match: { kind: 'uid', uid: 1002 } },
    ],
  });
  for (const address of ['10.9.0.2', '2001:db8:9::2']) {
    assert.equal(await call(host, address, 81, { uid: 1001 }), 'proxy 15101');
    assert.equal(await call(host, address, 81, { uid: 1002 }), 'proxy 15102');
    assert.match(await call(host, address, 81, { uid: 1003 }), /^direct /);
  }
});

test('of the whole host: each listed caller at its own port, the rest at another', { skip }, async (t) => {
  const { host } = await capturing(t, {
    callers: [
      { port: 15101, match: { kind: 'uid', uid: 1001 } },
      { port: 15001, match: { kind: 'rest' } },
    ],
    exclude: {
      ports: [{ from: 7000, to: 7010 }],
      addresses: ['192.0.2.0/24', '2001:db8:9::2/128'],
      uids: [1003],
      interfaces: [],
    },
    sshPorts: [2222],
  });
  assert.equal(await call(host, '10.9.0.2', 81, { uid: 1001 }), 'proxy 15101');
  assert.equal(await call(host, '10.9.0.2', 81, { uid: 1002 }), 'proxy 15001');
  await t.test('excluded: ports, addresses, users; the agent and the proxy; ssh, Consul, loopback', async () => {
    const as = { uid: 1002 };
    const passing = await Promise.all([
      call(host, '10.9.0.2', 7000, as),
      call(host, '2001:db8:9::2', 81, as),
      call(host, '10.9.0.2', 81, { uid: 1003 }),
      call(host, '10.9.0.2', 81, { uid: EMPTY_PLAN.agentUid }),
      call(host, '10.9.0.2', 81),
      call(host, '10.9.0.2', 22, as),
      call(host, '10.9.0.2', 2222, as),
      call(host, '10.9.0.2', 8500, as),
    ]);
    for (const answer of passing) assert.match(answer, /^direct /);
    assert.match(await call(host, '127.0.0.1', 81, as), /^local /);
    assert.match(await call(host, '::1', 81, as), /^local /);
  });
});

test('an excluded interface is left alone', { skip }, async (t) => {
  const { host } = await capturing(t, {
    callers: [{ port: 15001, match: { kind: 'rest' } }],
    exclude: { ...EMPTY_PLAN.exclude, interfaces: ['v0'] },
  });
  assert.match(await call(host, '10.9.0.2', 81, { uid: 1002 }), /^direct /);
});

test('the metadata addresses are never captured', { skip }, async (t) => {
  const { host, other } = await capturing(t, { callers: [{ port: 15001, match: { kind: 'rest' } }] });
  await other.run('ip', 'address', 'add', '169.254.169.254/32', 'dev', 'v0');
  await host.run('ip', 'route', 'add', '169.254.169.254/32', 'via', '10.9.0.2');
  await other.run('ip', '-6', 'address', 'add', 'fd00:ec2::254/128', 'dev', 'v0', 'nodad');
  await host.run('ip', '-6', 'route', 'add', 'fd00:ec2::254/128', 'via', '2001:db8:9::2');
  for (const address of ['169.254.169.254', 'fd00:ec2::254'])
    assert.match(await call(host, address, 81, { uid: 1002 }), /^direct /);
});

test('addresses of services by name are captured, on loopback and elsewhere', { skip }, async (t) => {
  const { host } = await capturing(t, {
    callers: [{ port: 15101, match: { kind: 'uid', uid: 1001 } }],
    namedRanges: ['127.240.0.0/16', '240.240.0.0/16', '2001:2::/64'],
  });
  await host.run('ip', 'route', 'add', 'default', 'via', '10.9.0.2');
  await host.run('ip', '-6', 'route', 'add', 'default', 'via', '2001:db8:9::2');
  for (const address of ['127.240.0.1', '240.240.0.1', '2001:2::1'])
    assert.equal(await call(host, address, 81, { uid: 1001 }), 'proxy 15101');
  assert.equal(await call(host, '127.240.0.1', 81, { uid: 1002 }), 'ECONNREFUSED');
});

test('calls of a unit arrive at its port, of another process of the same user do not', {
  skip: cannotUseCgroups(),
}, async (t) => {
  const { path, inside } = makeCgroup(t, 'orders.service');
  const { host } = await capturing(t, {
    callers: [{ port: 15101, match: { kind: 'cgroup', path, id: 1 } }],
  });
  assert.equal(await call(host, '10.9.0.2', 81, { uid: 1001, cgroup: inside }), 'proxy 15101');
  assert.equal(await call(host, '2001:db8:9::2', 81, { uid: 1001, cgroup: inside }), 'proxy 15101');
  assert.match(await call(host, '10.9.0.2', 81, { uid: 1001 }), /^direct /);
});

test('Envoy hands on to the first destination, once: no call of its own is captured', { skip }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await startProxy(t, host, both(15001, 'passthrough'));
  await serve(other, 'far', '::|81');
  await load(t, host, { ...EMPTY_PLAN, callers: [{ port: 15001, match: { kind: 'rest' } }] });
  assert.equal(await call(host, '10.9.0.2', 81, { uid: 1002 }), 'far 10.9.0.1 -> 10.9.0.2:81');
  assert.equal(await call(host, '2001:db8:9::2', 81, { uid: 1002 }), 'far 2001:db8:9::1 -> 2001:db8:9::2:81');
  await t.test('a connection to the capture port itself is refused, whoever makes it', async () => {
    const own = ['127.0.0.1', '::1', '10.9.0.1'];
    for (const address of own)
      for (const uid of [0, 1002]) assert.equal(await call(host, address, 15001, { uid }), 'ECONNREFUSED');
    assert.equal(await call(other, '10.9.0.1', 15001), 'ECONNREFUSED');
    assert.doesNotMatch(await host.run('ss', '-tn'), /:15001/);
  });
});
