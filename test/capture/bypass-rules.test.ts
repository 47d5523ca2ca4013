import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type BypassPlan, bypassRuleset, needsRouteLocalnet } from '../../src/platform/vm/bypass-ruleset.ts';
import { tempDir } from '../support/temp-dir.ts';
import { cannotCapture, type Namespace, tables, twoNamespaces } from './netns.ts';
import { EMPTY_PLAN, load } from './plans.ts';
import { startProxy } from './proxy.ts';
import { call, serve } from './traffic.ts';

const skip = cannotCapture();
const ENVOY = 1800;
const NOTHING: BypassPlan = {
  inboundPorts: [],
  inboundCapturePort: 15006,
  callers: [],
  destinations: [],
  listeners: [],
  interfaces: [],
  envoyUid: ENVOY,
};

async function routeLocalnet(where: Namespace): Promise<void> {
  await where.run('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet');
}

async function bypass(t: TestContext, where: Namespace, plan: BypassPlan): Promise<void> {
  const file = join(await tempDir(t), 'bypass.nft');
  await writeFile(file, bypassRuleset(plan));
  if (needsRouteLocalnet(plan)) await routeLocalnet(where);
  await where.run('nft', '-f', file);
}

test('captured calls and ports pass the proxy, and what would be denied without it passes too', { skip }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await startProxy(t, host, [
    { address: '127.0.0.1', port: 15101, to: 'answer' },
    { address: '0.0.0.0', port: 15006, to: 'answer' },
  ]);
  await serve(other, 'direct', '::|81', '::|82');
  await serve(host, 'app', '::|8080', '::|8081', '::|8082');
  const callers = [{ port: 15101, match: { kind: 'uid', uid: 1001 } }] as const;
  await load(t, host, {
    ...EMPTY_PLAN,
    callers,
    inbound: [
      { port: 8080, how: 'redirect', onProxyFailure: 'deny' },
      { port: 8081, how: 'redirect', onProxyFailure: 'deny' },
      { port: 8082, how: 'tproxy', onProxyFailure: 'deny' },
    ],
    outboundOnFailure: 'deny',
  });
  assert.equal(await call(host, '10.9.0.2', 81, { uid: 1001 }), 'proxy 15101');
  assert.equal(await call(other, '10.9.0.1', 8080), 'proxy 15006');
  await bypass(t, host, {
    ...NOTHING,
    inboundPorts: [8080, 8082],
    destinations: [{ address: '10.9.0.2', port: 81 }],
  });
  for (const port of [8080, 8082])
    assert.equal(await call(other, '10.9.0.1', port), `app 10.9.0.2 -> 10.9.0.1:${port}`);
  assert.equal(await call(other, '10.9.0.1', 8081), 'proxy 15006');
  assert.match(await call(host, '10.9.0.2', 81, { uid: 1001 }), /^direct /);
  assert.equal(await call(host, '10.9.0.2', 82, { uid: 1001 }), 'proxy 15101');
  await t.test('all calls of a caller', async () => {
    await bypass(t, host, { ...NOTHING, callers });
    assert.match(await call(host, '10.9.0.2', 82, { uid: 1001 }), /^direct /);
    assert.equal(await call(other, '10.9.0.1', 8080), 'proxy 15006');
  });
  await t.test('with nothing to bypass the table goes', async () => {
    await bypass(t, host, NOTHING);
    assert.ok(!tables(host).includes('table inet trysail_bypass'));
    assert.equal(await call(host, '10.9.0.2', 81, { uid: 1001 }), 'proxy 15101');
  });
});

test('listeners of a dead proxy are done without: upstreams on loopback, services by name, inbound ports', {
  skip,
}, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await serve(other, 'one', '::|81');
  await serve(other, 'two', '::|82');
  await serve(host, 'app', '127.0.0.1|8081', '127.0.0.1|7777');
  await bypass(t, host, {
    ...NOTHING,
    listeners: [
      {
        listen: { address: '127.0.0.1', port: 9001 },
        to: [
          { address: '10.9.0.2', port: 81 },
          { address: '10.9.0.2', port: 82 },
        ],
      },
      { listen: { address: '127.240.0.1', port: 0 }, to: [{ address: '10.9.0.2', port: 81 }] },
      { listen: { address: '10.9.0.1', port: 8080 }, to: [{ address: '127.0.0.1', port: 8081 }] },
    ],
  });
  const answers = new Set<string>();
  for (let i = 0; i < 4; i++) answers.add((await call(host, '127.0.0.1', 9001, { uid: 1001 })).split(' ')[0] ?? '');
  assert.deepEqual([...answers].sort(), ['one', 'two']);
  assert.equal(await call(host, '127.240.0.1', 80, { uid: 1001 }), 'one 10.9.0.1 -> 10.9.0.2:81');
  assert.equal(await call(other, '10.9.0.1', 8080), 'app 10.9.0.2 -> 127.0.0.1:8081');
  assert.match(await call(host, '10.9.0.1', 8080, { uid: 1001 }), /^app /);
  await t.test('nobody out there reaches loopback by that', async () => {
    await routeLocalnet(other);
    await other.run('ip', 'route', 'del', 'table', 'local', 'local', '127.0.0.0/8');
    await other.run('ip', 'route', 'del', 'table', 'local', 'local', '127.0.0.1');
    await other.run('ip', 'route', 'add', '127.0.0.0/8', 'via', '10.9.0.1', 'dev', 'v0', 'src', '10.9.0.2');
    // The answers do not get back there either way; whether the host takes the call is what counts.
    const taken = async (): Promise<boolean> => {
      const over = new AbortController();
      const done = call(other, '127.0.0.1', 7777).finally(() => over.abort());
      let seen = '';
      while (!over.signal.aborted && seen === '') {
        await delay(50);
        seen = (await host.run('ss', '-Htn', 'state', 'syn-recv')).trim();
      }
      await done;
      return seen !== '';
    };
    assert.equal(await taken(), false);
    await host.run('nft', 'delete', 'chain', 'inet', 'trysail_bypass', 'wire');
    assert.equal(await taken(), true, 'it is the rule that keeps them out');
  });
});
