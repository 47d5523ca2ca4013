import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CapturePlan } from '../../src/platform/vm/capture-plan.ts';
import { captureRuleset } from '../../src/platform/vm/capture-ruleset.ts';
import { cannotCapture, cannotUseCgroups, makeCgroup, twoNamespaces } from './netns.ts';
import { EMPTY_PLAN } from './plans.ts';

const BASE: CapturePlan = { ...EMPTY_PLAN, envoyUid: 997, agentUid: 996 };

const EVERYTHING: CapturePlan = {
  ...BASE,
  callers: [
    { port: 15001, match: { kind: 'cgroup', path: 'system.slice/orders.service', id: 4711 } },
    { port: 15101, match: { kind: 'uid', uid: 1001 } },
    { port: 15102, match: { kind: 'rest' } },
  ],
  inbound: [
    { port: 8080, how: 'redirect', onProxyFailure: 'deny' },
    { port: 9090, how: 'tproxy', onProxyFailure: 'deny' },
    { port: 7070, how: 'redirect', onProxyFailure: 'direct' },
  ],
  outboundOnFailure: 'deny',
  exclude: {
    ports: [{ from: 5000, to: 5010 }],
    addresses: ['10.1.0.0/16', '10.1.2.3', '2001:db8::/32'],
    uids: [33],
    interfaces: ['wg0'],
  },
  sshPorts: [2222],
  ownPorts: [15053],
  namedRanges: ['127.240.0.0/16', '2001:2::/64'],
  containers: { interfaces: ['docker0'], port: 15102 },
};

const PLANS: Readonly<Record<string, CapturePlan>> = {
  nothing: BASE,
  everything: EVERYTHING,
  'listed-users': { ...BASE, callers: [{ port: 15101, match: { kind: 'uid', uid: 1001 } }] },
  'whole-host': { ...BASE, callers: [{ port: 15001, match: { kind: 'rest' } }] },
  'inbound-redirect': { ...BASE, inbound: [{ port: 8080, how: 'redirect', onProxyFailure: 'direct' }] },
  'inbound-tproxy': { ...BASE, inbound: [{ port: 8080, how: 'tproxy', onProxyFailure: 'deny' }] },
  containers: { ...BASE, containers: { interfaces: ['docker0', 'br-web'], port: 15001 } },
};

for (const [name, plan] of Object.entries(PLANS))
  test(`the rules of ${name} are as golden/${name}.nft`, async () => {
    const file = join(import.meta.dirname, 'golden', `${name}.nft`);
    const { text } = captureRuleset(plan);
    if (process.env['GOLDEN'] === 'write') await writeFile(file, text);
    assert.equal(text, await readFile(file, 'utf8'));
  });

test('nft accepts all of them, twice', { skip: cannotCapture() || cannotUseCgroups() }, async (t) => {
  const { host } = await twoNamespaces(t);
  const { path } = makeCgroup(t, 'orders.service');
  for (const plan of Object.values(PLANS)) {
    const callers = plan.callers.map((caller) =>
      caller.match.kind === 'cgroup' ? { ...caller, match: { ...caller.match, path } } : caller,
    );
    const { text } = captureRuleset({ ...plan, callers }, { owned: false });
    for (let i = 0; i < 2; i++) await host.run('sh', '-c', `nft -f - <<'EOF'\n${text}EOF\n`);
  }
});
