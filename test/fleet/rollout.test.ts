// The publisher's side of a change that goes out in steps, with hosts that say what the test has them say.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { KvStore } from '../../src/consul/kv.ts';
import { applyResources, deleteResources, publishedResources, rollBack } from '../../src/fleet/fleet.ts';
import { addPublisher, revokePublisher } from '../../src/fleet/fleet-admin.ts';
import { FleetStore } from '../../src/fleet/fleet-store.ts';
import { followRollout, type RolloutOptions } from '../../src/fleet/follow-rollout.ts';
import { setFrozen } from '../../src/fleet/freeze.ts';
import type { HostStatus } from '../../src/fleet/host-status.ts';
import { headKey, statusKey } from '../../src/fleet/layout.ts';
import { nextStep, rolloutProgress, takeBack } from '../../src/fleet/rollout.ts';
import { createSigningKey, publicHalf } from '../../src/fleet/signing-key.ts';
import { startChild } from '../support/child.ts';
import { eventually, PATIENCE_MS } from '../support/eventually.ts';
import { program } from '../support/local-mesh.ts';
import { trysail } from '../support/run-trysail.ts';
import { answering, type FleetLab, manifestsOf, startFleet } from './fleet-lab.ts';

const HOSTS = ['a', 'b', 'c', 'd'];

async function says(lab: FleetLab, host: string, status: Partial<HostStatus> = {}): Promise<void> {
  const whole = { version: '0.1.0', level: 1, namespaces: ['shop', 'pay'], atMs: Date.now(), rollouts: [], ...status };
  await lab.client.kv.put(statusKey(host), Buffer.from(JSON.stringify(whole)));
}

/** What a host would say that has everything; or refuses it. */
async function answer(lab: FleetLab, host: string, namespace: string, error?: string): Promise<void> {
  const { id, revisions } = await rolloutProgress(lab.fleet, namespace);
  const said =
    error === undefined ? { envoy: 'accepted' as const, errors: [] } : { envoy: 'rejected' as const, errors: [error] };
  await says(lab, host, { rollouts: [{ id, revisions, ...said }] });
}

async function rig(t: TestContext): Promise<
  FleetLab & {
    readonly staged: (steps: readonly string[], ...resources: readonly object[]) => ReturnType<typeof applyResources>;
    readonly follow: (namespace: string, options?: Partial<RolloutOptions>) => ReturnType<typeof followRollout>;
    readonly published: () => Promise<readonly string[]>;
  }
> {
  const lab = await startFleet(t);
  for (const host of HOSTS) await says(lab, host);
  await says(lab, 'long-gone', { atMs: Date.now() - 24 * 3_600_000 });
  await says(lab, 'elsewhere', { namespaces: ['default'] });
  return {
    ...lab,
    staged: async (steps, ...resources) =>
      applyResources(lab.fleet, { manifests: manifestsOf(...resources) }, { key: lab.admin, steps }),
    follow: async (namespace, options = {}) =>
      followRollout(lab.fleet, namespace, {
        key: lab.admin,
        timeoutMs: PATIENCE_MS,
        pauseMs: 0,
        onTimeout: 'stay',
        signal: AbortSignal.timeout(2 * PATIENCE_MS),
        onProgress: () => undefined,
        ...options,
      }),
    published: async () =>
      (await publishedResources(lab.fleet, undefined)).map(
        ({ namespace, name, text }) => `${namespace}/${name} ${/status"?: ?(\d+)/.exec(text)?.[1]}`,
      ),
  };
}

test('two namespaces go out together, and together back to what there was: something, and nothing', async (t) => {
  const lab = await rig(t);
  await lab.apply(answering('reviews', 418));
  await lab.staged(['2', 'all'], answering('reviews', 419), answering('till', 200, 'pay'));
  const { waiting, later, silent } = await rolloutProgress(lab.fleet, 'pay');
  assert.deepEqual([waiting.length, later, silent], [2, 2, ['long-gone']]);
  const [ok = '', bad = ''] = waiting;
  await answer(lab, ok, 'shop');
  await answer(lab, bad, 'pay', 'TRY0101 Listener x: no');
  const { state, outcome, progress } = await lab.follow('shop');
  assert.deepEqual(
    [state, outcome, progress.accepted, progress.rejected.map(({ host }) => host)],
    ['reverted', 'rejected', [ok], [bad]],
  );
  assert.deepEqual(await lab.published(), ['shop/reviews 418']);
  await assert.rejects(rolloutProgress(lab.fleet, 'shop'), { code: 'FLEET_NO_ROLLOUT' });
});

test('each step waits for the hosts of it, a refusal later on takes back too, and time runs out', async (t) => {
  const lab = await rig(t);
  await lab.apply(answering('reviews', 418));
  await lab.staged(['1', '3', 'all'], answering('reviews', 419));
  const first = (await rolloutProgress(lab.fleet, 'shop')).waiting;
  assert.equal(first.length, 1);
  await answer(lab, first[0] ?? '', 'shop');
  const late = await lab.follow('shop', { timeoutMs: 300 });
  assert.deepEqual([late.state, late.outcome, late.progress.step], ['stays', 'late', 2]);
  // What it said of the step before does not count for this one.
  assert.ok(late.progress.waiting.includes(first[0] ?? '') && late.progress.waiting.length === 3);
  await assert.rejects(lab.apply(answering('reviews', 500)), { code: 'FLEET_STAGED' });
  await assert.rejects(lab.staged(['1'], answering('reviews', 500)), { code: 'FLEET_STAGED' });
  const name = { kind: 'VirtualService', name: 'reviews', namespace: 'shop' };
  await assert.rejects(deleteResources(lab.fleet, [name], { key: lab.admin }), { code: 'FLEET_STAGED' });
  const back = await lab.follow('shop', { timeoutMs: 300, onTimeout: 'revert' });
  assert.deepEqual([back.state, back.outcome], ['reverted', 'late']);
  assert.deepEqual(await lab.published(), ['shop/reviews 418']);
});

test('a roll-back goes to all hosts in the middle of it', async (t) => {
  const lab = await rig(t);
  await lab.apply(answering('reviews', 418));
  await lab.staged(['1', 'all'], answering('reviews', 419));
  await rollBack(lab.fleet, 'shop', 1, { key: lab.admin });
  await assert.rejects(takeBack(lab.fleet, 'shop', { key: lab.admin }), { code: 'FLEET_NO_ROLLOUT' });
  await lab.apply(answering('reviews', 420));
  assert.deepEqual(await lab.published(), ['shop/reviews 420']);
});

test('somebody else goes back while it is waited for: the wait ends and says so', async (t) => {
  const lab = await rig(t);
  await lab.apply(answering('reviews', 418));
  await lab.staged(['1', 'all'], answering('reviews', 419));
  let back: Promise<unknown> | undefined;
  const onProgress = (): void => {
    back ??= rollBack(lab.fleet, 'shop', 1, { key: lab.admin });
  };
  await assert.rejects(lab.follow('shop', { onProgress, onTimeout: 'revert' }), {
    code: 'FLEET_NO_ROLLOUT',
    message: /admin has published revision 3 of shop \(rollback\)\. It was at step 1 \(1 of 2\)/,
  });
  await back;
  assert.deepEqual(await lab.published(), ['shop/reviews 418']);
});

test('two go on with it at the same time: no step is left out', async (t) => {
  const lab = await rig(t);
  await lab.apply(answering('reviews', 418));
  await lab.staged(['1', '2', 'all'], answering('reviews', 419));
  const { id } = await rolloutProgress(lab.fleet, 'shop');
  for (let i = 0; i < 2; i += 1) await nextStep(lab.fleet.store, 'shop', { id, step: 1 }, lab.admin);
  assert.equal((await rolloutProgress(lab.fleet, 'shop')).step, 2);
  // One waits for the second step while the other makes the third.
  const steps = new Set<number>();
  let next: Promise<unknown> | undefined;
  const onProgress = ({ step }: { readonly step: number }): void => {
    steps.add(step);
    if (step === 2) next ??= nextStep(lab.fleet.store, 'shop', { id, step: 2 }, lab.admin);
    if (step === 3) next = Promise.all(HOSTS.map(async (host) => answer(lab, host, 'shop')));
  };
  const { state, progress } = await lab.follow('shop', { onProgress });
  await next;
  assert.deepEqual([state, progress.step, [...steps]], ['done', 3, [2, 3]]);
});

test('a host counts by what it says of the change, whatever its clock says', async (t) => {
  const lab = await rig(t);
  await lab.apply(answering('reviews', 418));
  await lab.staged(['all'], answering('reviews', 419));
  const { id, revisions } = await rolloutProgress(lab.fleet, 'shop');
  const yesterday = { atMs: Date.now() - 24 * 3_600_000 };
  await says(lab, 'long-gone', { ...yesterday, rollouts: [{ id, revisions, envoy: 'accepted', errors: [] }] });
  const { accepted, silent } = await rolloutProgress(lab.fleet, 'shop');
  assert.deepEqual([accepted, silent], [['long-gone'], []]);
  await says(lab, 'long-gone', { ...yesterday, rollouts: [{ id, revisions, envoy: 'rejected', errors: ['no'] }] });
  const { state, progress } = await lab.follow('shop');
  assert.deepEqual([state, progress.rejected.map(({ host }) => host)], ['reverted', ['long-gone']]);
});

test('Consul goes away and comes back: the wait goes on', async (t) => {
  const lab = await rig(t);
  await lab.apply(answering('reviews', 418));
  await lab.staged(['1', 'all'], answering('reviews', 419));
  const allAnswer = async (): Promise<void> =>
    eventually('Consul takes what hosts say', async () => {
      for (const host of HOSTS) await answer(lab, host, 'shop');
    });
  let outage: Promise<void> | undefined;
  const onProgress = ({ step }: { readonly step: number }): void => {
    outage ??= lab.consul.child
      .stop('SIGKILL')
      .then(async () => lab.consul.restart())
      .then(allAnswer);
    if (step === 2) outage = outage.then(allAnswer);
  };
  const { state } = await lab.follow('shop', { onProgress });
  await outage;
  assert.equal(state, 'done');
});

test('a Consul that shows an earlier state for a moment ends nothing', async (t) => {
  const lab = await rig(t);
  await lab.apply(answering('reviews', 418));
  const { value: earlier } = await lab.client.kv.get(headKey('shop'));
  await lab.staged(['1', 'all'], answering('reviews', 419));
  let lags = 0;
  // While hosts are waited for, and once more when the next step is to be made of what Consul shows.
  const lagging = [3, 2];
  const kv: KvStore = {
    ...lab.client.kv,
    get: async (key, ...rest) => {
      const answer = await lab.client.kv.get(key, ...rest);
      if (key !== headKey('shop') || lags === 0) return answer;
      lags -= 1;
      return { ...answer, value: earlier };
    },
  };
  const fleet = { store: new FleetStore(kv, lab.fleet.store.roots), close: () => undefined };
  const said: Promise<void>[] = [];
  const { state } = await followRollout(fleet, 'shop', {
    key: lab.admin,
    timeoutMs: PATIENCE_MS,
    pauseMs: 0,
    onTimeout: 'stay',
    signal: AbortSignal.timeout(2 * PATIENCE_MS),
    onProgress: ({ waiting }) => {
      lags = lagging.shift() ?? 0;
      if (waiting.length > 0)
        said.push(Promise.all(HOSTS.map(async (host) => answer(lab, host, 'shop'))).then(() => undefined));
    },
  });
  await Promise.all(said);
  assert.equal(state, 'done');
});

test('what cannot be taken back is told, with the reason and what to do then', async (t) => {
  const lab = await rig(t);
  await lab.apply(answering('reviews', 418));
  await lab.staged(['1', 'all'], answering('reviews', 419));
  const [bad = ''] = (await rolloutProgress(lab.fleet, 'shop')).waiting;
  await answer(lab, bad, 'shop', 'TRY0101 Listener x: no');
  await setFrozen(lab.fleet, lab.admin, true, 'until Monday');
  await assert.rejects(lab.follow('shop'), {
    code: 'FLEET_FROZEN',
    message: new RegExp(`to be taken back \\(refused by Envoy on ${bad}\\), and stays: Changes are frozen by admin`),
    remedy: /trysail rollout back -n shop/,
  });
});

test('the publisher of what was before may be revoked, and another one goes on or back', async (t) => {
  const lab = await rig(t);
  const team = createSigningKey();
  const added = { name: 'team', publicKey: publicHalf(team), namespaces: ['shop'], kinds: ['*'], mayFreeze: false };
  await addPublisher(lab.fleet, lab.root, added);
  await applyResources(lab.fleet, { manifests: manifestsOf(answering('reviews', 418)) }, { key: team });
  await lab.staged(['1', 'all'], answering('reviews', 419));
  await revokePublisher(lab.fleet, lab.root, 'team');
  await assert.rejects(takeBack(lab.fleet, 'shop', { key: team }), { code: 'FLEET_FORBIDDEN' });
  await takeBack(lab.fleet, 'shop', { key: lab.admin });
  assert.deepEqual(await lab.published(), ['shop/reviews 418']);
});

test('nobody to begin with', async (t) => {
  const lab = await startFleet(t);
  await says(lab, 'elsewhere', { namespaces: ['default'] });
  await assert.rejects(
    applyResources(
      lab.fleet,
      { manifests: manifestsOf(answering('reviews', 418)) },
      { key: lab.admin, steps: ['1', 'all'] },
    ),
    { code: 'FLEET_NO_HOSTS', message: /No host says/ },
  );
  await says(lab, 'long-gone', { atMs: Date.now() - 24 * 3_600_000 });
  await assert.rejects(
    applyResources(
      lab.fleet,
      { manifests: manifestsOf(answering('reviews', 418)) },
      { key: lab.admin, steps: ['1', 'all'] },
    ),
    { code: 'FLEET_NO_HOSTS', message: /Each host .*\(1\) has said nothing for hours, by this machine's clock/ },
  );
});

test('Ctrl-C leaves it where it is, and the commands go on and back', async (t) => {
  const lab = await rig(t);
  await lab.apply(answering('reviews', 418));
  const [file, key] = [join(lab.dir, 'change.yaml'), join(lab.dir, 'admin.key')];
  await writeFile(file, JSON.stringify(answering('reviews', 419)));
  await writeFile(key, lab.admin.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const common = ['--consul', lab.consul.address, '--root', lab.trustFile];
  const child = startChild(t, program(), ['apply', '-f', file, '--key', key, '--stage', '1,all', ...common]);
  await eventually('the first step', async () =>
    assert.match(child.output(), /Step 1 of 2 \(1\): 0 of 1 host has it; not yet: [abcd]; 3 later/),
  );
  await child.stop('SIGINT');
  assert.equal(child.process.exitCode, 130);
  assert.match(child.output(), /trysail rollout continue -n shop/);

  for (const host of HOSTS) await answer(lab, host, 'shop');
  const on = await trysail('rollout', 'continue', '-n', 'shop', '--key', key, '--timeout', '300ms', ...common);
  assert.equal(on.code, 5, on.err);
  assert.match(
    on.out,
    /Step 1 of 2 \(1\): 1 of 1 host has it.*\n(?:.*\n)?Step 2 of 2 \(all\): 0 of 4 hosts have it; not yet: a, b, c, d\n/,
  );
  const back = await trysail('rollout', 'back', '-n', 'shop', '--key', key, ...common);
  assert.equal(back.out, 'shop is at revision 4.\n', back.err);
  const history = await trysail('history', '-n', 'shop', ...common);
  assert.match(history.out, /stage all \(2 of 2\)[^]*apply 1 \(1 of 2\)/);
});
