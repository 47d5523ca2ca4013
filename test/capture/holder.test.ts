import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '../../src/lib/log.ts';
import { CaptureHolder } from '../../src/platform/vm/capture-holder.ts';
import type { CapturePlan } from '../../src/platform/vm/capture-plan.ts';
import { captureRuleset } from '../../src/platform/vm/capture-ruleset.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { ROOT } from '../support/tools.ts';
import { cannotCapture, type Namespace, tables, twoNamespaces } from './netns.ts';
import { EMPTY_PLAN } from './plans.ts';
import { startProxy } from './proxy.ts';
import { call, calls, serve } from './traffic.ts';

const skip = cannotCapture();
const SCRIPT = join(ROOT, 'src/platform/vm/capture-holder.sh');
const PLAN: CapturePlan = {
  ...EMPTY_PLAN,
  callers: [{ port: 15101, match: { kind: 'uid', uid: 1001 } }],
};
const AS = { uid: 1001 };

/** A holder whose process lives in the namespace; it ends with the test. */
async function holderIn(
  t: TestContext,
  where: Namespace,
  nft?: string,
): Promise<{ holder: CaptureHolder; dir: string }> {
  const dir = await tempDir(t);
  if (nft !== undefined) await writeFile(join(dir, 'nft'), nft, { mode: 0o755 });
  const script = join(dir, 'start.sh');
  const [program, args] = where.within('sh', [SCRIPT]);
  await writeFile(script, `PATH=${dir}:$PATH exec ${program} ${args.join(' ')} "$@"\n`);
  const holder = new CaptureHolder({ dir, script, guardFile: join(dir, 'guard.nft'), log: silentLog() });
  await holder.start();
  return { holder, dir };
}

const capturing = ({ pid }: Namespace): boolean => tables({ pid } as Namespace).includes('table inet trysail');

test('rules vanish in the moment the last Envoy dies, although nobody cleans up', { skip }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await serve(other, 'direct', '::|81');
  const { holder } = await holderIn(t, host);
  const listener = { address: '127.0.0.1', port: 15101, to: 'answer' } as const;
  const first = await startProxy(t, host, [listener], holder.control);
  const applied = await holder.apply(PLAN);
  assert.deepEqual([applied.owned, await holder.verify()], [true, true]);
  assert.equal(await call(host, '10.9.0.2', 81, AS), 'proxy 15101');
  await t.test('nobody else can take them away', async () => {
    await assert.rejects(host.run('nft', 'delete', 'table', 'inet', 'trysail'), /not permitted/);
    await host.run('nft', 'flush', 'ruleset');
    assert.ok(capturing(host));
  });
  await t.test('they stay while another Envoy lives', async () => {
    const second = await startProxy(t, host, [{ ...listener, port: 15102 }], holder.control);
    await second.stop('SIGKILL');
    await delay(100);
    assert.ok(capturing(host));
  });
  await first.stop('SIGKILL');
  await eventually('the rules are gone', () => !capturing(host));
  assert.match(await call(host, '10.9.0.2', 81, AS), /^direct /);
  await eventually('the holder has ended', async () => !(await holder.status()).alive);
  assert.equal(await holder.verify(), false);
  await t.test('and come again with the next one', async () => {
    await holder.start();
    await startProxy(t, host, [listener], holder.control);
    await holder.apply(PLAN);
    assert.equal(await call(host, '10.9.0.2', 81, AS), 'proxy 15101');
  });
});

test('rules vanish with the process that owns them', { skip }, async (t) => {
  const { host } = await twoNamespaces(t);
  const { holder, dir } = await holderIn(t, host);
  await startProxy(t, host, [{ address: '127.0.0.1', port: 15101, to: 'answer' }], holder.control);
  await holder.apply(PLAN);
  process.kill(Number(readFileSync(join(dir, 'nft.pid'), 'utf8')), 'SIGKILL');
  await eventually('the rules are gone', () => !capturing(host));
  await eventually('the script has ended', async () => !(await holder.status()).alive);
});

test('deny outlives the proxy, and clean removes all of it', { skip }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await serve(host, 'app', '::|8080');
  const { holder, dir } = await holderIn(t, host);
  const proxy = await startProxy(t, host, [{ address: '0.0.0.0', port: 15006, to: 'answer' }], holder.control);
  await holder.apply({ ...EMPTY_PLAN, inbound: [{ port: 8080, how: 'tproxy', onProxyFailure: 'deny' }] });
  await proxy.stop('SIGKILL');
  await eventually('the rules are gone', () => !capturing(host));
  assert.equal(await call(other, '10.9.0.1', 8080), 'ECONNREFUSED');
  await t.test('also over a reboot', async () => {
    await host.run('nft', 'flush', 'ruleset');
    assert.match(await call(other, '10.9.0.1', 8080), /^app /);
    await eventually('the holder has ended', async () => !(await holder.status()).alive);
    await holder.start();
    await eventually('refused again', async () => assert.equal(await call(other, '10.9.0.1', 8080), 'ECONNREFUSED'));
  });
  const before = await host.run('ip', 'rule');
  assert.match(before, /fwmark 0x539 lookup 133/);
  await eventually(
    'the holder runs',
    async () => (await holder.status()).alive || (await readFile(join(dir, 'control')).catch(() => true)),
  );
  await holder.clean();
  await eventually('no table is left', () => assert.deepEqual(tables(host), []));
  await eventually('no rule is left', async () => assert.doesNotMatch(await host.run('ip', 'rule'), /1337|0x539/));
  assert.match(await call(other, '10.9.0.1', 8080), /^app /);
});

test('rules are replaced under load without a failed connection', { skip }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await serve(other, 'direct', '::|81');
  const { holder } = await holderIn(t, host);
  await startProxy(t, host, [{ address: '127.0.0.1', port: 15101, to: 'answer' }], holder.control);
  await holder.apply(PLAN);
  const answers: string[] = [];
  const stop = new AbortController();
  const loads = [1, 2].map(async () => {
    while (!stop.signal.aborted) answers.push(...(await calls(host, '10.9.0.2', 81, 200, AS)));
  });
  let replaced = 0;
  await eventually('many connections and replacements', async () => {
    replaced += 1;
    const exclude = { ...EMPTY_PLAN.exclude, ports: [{ from: 5000, to: 5000 + replaced }] };
    await holder.apply({ ...PLAN, exclude });
    return replaced >= 20 && answers.length >= 2000;
  }).finally(() => stop.abort());
  await Promise.all(loads);
  t.diagnostic(`${replaced} replacements during ${answers.length} connections`);
  assert.deepEqual(
    answers.filter((answer) => answer !== 'proxy 15101'),
    [],
  );
});

test('what is on trial takes itself back, unless it is confirmed', { skip }, async (t) => {
  const { host } = await twoNamespaces(t);
  const { holder, dir } = await holderIn(t, host);
  await startProxy(t, host, [{ address: '127.0.0.1', port: 15101, to: 'answer' }], holder.control);
  const deny: CapturePlan = { ...PLAN, outboundOnFailure: 'deny' };
  await holder.apply(deny, { trialMs: 10_000 });
  assert.equal((await holder.status()).onTrial, true);
  assert.deepEqual(tables(host), ['table inet trysail', 'table inet trysail_guard']);
  await eventually('it is taken back', () => assert.deepEqual(tables(host), []));
  await assert.rejects(readFile(join(dir, 'guard.nft')), { code: 'ENOENT' });

  await eventually('the holder has ended', async () => !(await holder.status()).alive);
  await holder.apply(deny, { trialMs: 10_000 });
  await holder.confirm();
  await delay(10_500);
  assert.deepEqual(tables(host), ['table inet trysail', 'table inet trysail_guard']);
  assert.equal((await holder.status()).onTrial, false);
});

test('at boot all is refused that can be told by then, although units do not run yet', { skip }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await serve(host, 'orders', '0.0.0.0|8080');
  await serve(other, 'direct', '::|81');
  const dir = await tempDir(t);
  const guard = join(dir, 'guard.nft');
  const cgroup = { kind: 'cgroup', path: 'system.slice/none.service', id: 7 } as const;
  const { text } = captureRuleset({
    ...PLAN,
    callers: [{ port: 15102, match: cgroup }, ...PLAN.callers],
    inbound: [{ port: 8080, how: 'redirect', onProxyFailure: 'deny' }],
    outboundOnFailure: 'deny',
  });
  await writeFile(guard, text.slice(text.indexOf('add table inet trysail_guard')));
  assert.match(await readFile(guard, 'utf8'), /none\.service/);
  const holder = host.start('sh', SCRIPT, dir, guard);
  t.after(() => holder.stop());
  await eventually('guarded', () => assert.deepEqual(tables(host), ['table inet trysail_guard']));
  assert.equal(await call(other, '10.9.0.1', 8080), 'ECONNREFUSED');
  assert.doesNotMatch(await call(host, '10.9.0.2', 81, AS), /^direct/);
  assert.match(await call(host, '10.9.0.2', 81, { uid: 1002 }), /^direct /);
});

test('a refusal of nft names the rule and what helps, and what was in force stays', { skip }, async (t) => {
  const { host } = await twoNamespaces(t);
  const { holder } = await holderIn(t, host);
  await startProxy(t, host, [{ address: '127.0.0.1', port: 15101, to: 'answer' }], holder.control);
  await holder.apply(PLAN);
  await assert.rejects(
    holder.apply({ ...PLAN, callers: [{ port: 15101, match: { kind: 'cgroup', path: 'system.slice/none.service' } }] }),
    {
      code: 'CAPTURE_REFUSED',
      message: /line \d+ \(meta l4proto tcp socket cgroupv2 level 2 "system.slice\/none.service".*cgroupv2 path fails/,
      remedy: /^The unit must be running/,
    },
  );
  assert.equal(await holder.verify(), true);
});

/** An nft on a kernel without owned tables. */
const WITHOUT_OWNERS = `#!/bin/sh
real=$(PATH=\${PATH#*:} command -v nft)
[ "$1" = -i ] || exec "$real" "$@"
while read -r line; do
  file=$(echo "$line" | sed -n 's/^include "\\(.*\\)"$/\\1/p')
  if [ -z "$file" ]; then "$real" "$line"
  elif grep -q 'flags owner' "$file"; then echo "$file:1:1-9: Error: Could not process rule: Operation not supported"
  else "$real" -f "$file"; fi
done
`;

test('a kernel without owned tables is said to be one, and the holder removes the rules', { skip }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await serve(other, 'direct', '::|81');
  const { holder } = await holderIn(t, host, WITHOUT_OWNERS);
  const proxy = await startProxy(t, host, [{ address: '127.0.0.1', port: 15101, to: 'answer' }], holder.control);
  const applied = await holder.apply(PLAN);
  assert.deepEqual([applied.owned, await holder.verify()], [false, true]);
  assert.equal(await call(host, '10.9.0.2', 81, AS), 'proxy 15101');
  await proxy.stop('SIGKILL');
  await eventually('the rules are gone', () => !capturing(host));
});
