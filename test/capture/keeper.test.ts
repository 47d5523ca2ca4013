import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CaptureKeeper, type CaptureKeeperOptions, type WantedCapture } from '../../src/agent/capture-keeper.ts';
import { silentLog } from '../../src/lib/log.ts';
import { CaptureHolder } from '../../src/platform/vm/capture-holder.ts';
import type { CapturePlan } from '../../src/platform/vm/capture-plan.ts';
import { eventually, PATIENCE_MS } from '../support/eventually.ts';
import { program } from '../support/local-mesh.ts';
import { tempDir } from '../support/temp-dir.ts';
import { ROOT } from '../support/tools.ts';
import { cannotCapture, cannotUseCgroups, makeCgroup, type Namespace, tables, twoNamespaces } from './netns.ts';
import { EMPTY_PLAN } from './plans.ts';
import { startProxy } from './proxy.ts';
import { call, serve } from './traffic.ts';

const skip = cannotCapture();
const SCRIPT = join(ROOT, 'src/platform/vm/capture-holder.sh');

function wanting(plan: CapturePlan): WantedCapture {
  return { units: [], plan: () => ({ plan, waitingFor: [], unknownUsers: [] }) };
}

const UID_1001: CapturePlan = { ...EMPTY_PLAN, callers: [{ port: 15101, match: { kind: 'uid', uid: 1001 } }] };

interface Kept {
  readonly dir: string;
  readonly holder: CaptureHolder;
  /** A keeper as an agent that starts now would have it. */
  readonly keeper: (options?: Partial<CaptureKeeperOptions>) => Promise<CaptureKeeper>;
}

async function kept(t: TestContext, host: Namespace): Promise<Kept> {
  const dir = await tempDir(t);
  const script = join(dir, 'start.sh');
  const [command, args] = host.within('sh', [SCRIPT]);
  await writeFile(script, `exec ${command} ${args.join(' ')} "$@"\n`);
  const holder = new CaptureHolder({
    dir: join(dir, 'capture'),
    script,
    guardFile: join(dir, 'capture-guard.nft'),
    log: silentLog(),
  });
  await holder.start();
  return {
    dir,
    holder,
    keeper: async (options = {}) => {
      const keeper = new CaptureKeeper({ holder, stateFile: join(dir, 'capture.json'), log: silentLog(), ...options });
      t.after(() => keeper.close());
      await keeper.start();
      return keeper;
    },
  };
}

const capturing = (host: Namespace): boolean => tables(host).includes('table inet trysail');

test('the first application takes itself back, also when the agent has ended; a confirmed one comes back by itself', {
  skip,
}, async (t) => {
  const { host } = await twoNamespaces(t);
  const { holder, keeper, dir } = await kept(t, host);
  const proxy = await startProxy(t, host, [{ address: '127.0.0.1', port: 15101, to: 'answer' }], holder.control);
  const first = await keeper({ trialMs: 10_000 });
  assert.equal(first.report().state, 'unconfigured');
  await assert.rejects(first.apply(), { code: 'CAPTURE_UNCONFIGURED' });
  first.want(wanting(UID_1001));
  await assert.rejects(first.apply(), { code: 'CAPTURE_NOT_LISTENING' });
  first.listening(true);
  assert.equal(first.report().state, 'unapplied');
  assert.equal(capturing(host), false, 'nobody has applied it');
  assert.equal((await first.apply()).state, 'trial');
  assert.equal(capturing(host), true);
  await first.close();
  await eventually('it is taken back without an agent', () => !capturing(host));

  await t.test('an agent that starts after the trial leaves it so', async () => {
    const second = await keeper({ trialMs: 60_000 });
    second.want(wanting(UID_1001));
    second.listening(true);
    assert.equal(second.report().state, 'unapplied');
    await assert.rejects(second.confirm(), { code: 'CAPTURE_UNCONFIRMABLE' });
    await second.apply();
    assert.equal((await second.confirm()).state, 'on');
    await second.close();
  });
  await t.test('confirmed, it is put in force by the next agent, and follows agent.yaml', async () => {
    const third = await keeper();
    const isListening = async (): Promise<boolean> => (await host.run('ss', '-ltn')).includes('127.0.0.1:15101 ');
    third.want({ ...wanting(UID_1001), isListening });
    assert.equal(third.report().state, 'waiting');
    third.listening(true);
    await eventually('in force', () => assert.equal(third.report().state, 'on'));
    await eventually('in the kernel', () => capturing(host));
    // Changes need no trial any more.
    third.want({ isListening, ...wanting({ ...UID_1001, exclude: { ...EMPTY_PLAN.exclude, uids: [4711] } }) });
    await eventually('loaded', async () =>
      assert.match(await readFile(join(dir, 'capture/rules.nft'), 'utf8'), /4711/),
    );
    assert.equal(third.report().state, 'on');
    // A crash of Envoy takes them away, and its next start brings them back.
    await proxy.stop('SIGKILL');
    await eventually('gone', () => !capturing(host));
    await eventually('noticed', () => assert.equal(third.report().state, 'waiting', JSON.stringify(third.report())));
    await startProxy(t, host, [{ address: '127.0.0.1', port: 15101, to: 'answer' }], holder.control);
    await eventually('in force again', () => assert.equal(third.report().state, 'on'));
    assert.equal(capturing(host), true);
    assert.equal((await third.clean()).state, 'unapplied');
    assert.equal(capturing(host), false);
  });
});

test('a unit that starts is captured from then on', { skip: cannotUseCgroups() }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  await serve(other, 'direct', '::|81');
  const { holder, keeper } = await kept(t, host);
  await startProxy(t, host, [{ address: '127.0.0.1', port: 15101, to: 'answer' }], holder.control);
  const { dir, inside } = makeCgroup(t, 'keeps.service');
  rmdirSync(dir);
  const capture = await keeper({ cgroupRoot: dirname(dirname(dir)) });
  capture.want({
    units: ['keeps.service'],
    plan: (cgroups) => {
      const cgroup = cgroups.get('keeps.service');
      return {
        plan: {
          ...EMPTY_PLAN,
          callers: cgroup === undefined ? [] : [{ port: 15101, match: { kind: 'cgroup', ...cgroup } }],
        },
        waitingFor: cgroup === undefined ? ['keeps.service'] : [],
        unknownUsers: [],
      };
    },
  });
  capture.listening(true);
  assert.deepEqual((await capture.apply(true)).waitingFor, ['keeps.service']);
  for (let i = 0; i < 2; i++) {
    const revision = capture.report().revision;
    const start = performance.now();
    mkdirSync(dir);
    while (capture.report().revision === revision) {
      assert.ok(performance.now() - start < PATIENCE_MS, 'the rules follow');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    t.diagnostic(`captured ${Math.round(performance.now() - start)} ms after its cgroup was made`);
    assert.equal(await call(host, '10.9.0.2', 81, { uid: 1001, cgroup: inside }), 'proxy 15101');
    await eventually('it has ended', () => rmdirSync(dir));
    await eventually('seen', () => assert.deepEqual(capture.report().waitingFor, ['keeps.service']));
  }
});

test('a unit that ends while its rules are loaded is left out, and nobody is told of a fault', {
  skip: cannotUseCgroups(),
}, async (t) => {
  const { host } = await twoNamespaces(t);
  const { holder, keeper } = await kept(t, host);
  await startProxy(t, host, [{ address: '127.0.0.1', port: 15101, to: 'answer' }], holder.control);
  const { dir } = makeCgroup(t, 'flees.service');
  const capture = await keeper({ cgroupRoot: dirname(dirname(dir)) });
  let planned = 0;
  capture.want({
    units: ['flees.service'],
    plan: (cgroups) => {
      const cgroup = cgroups.get('flees.service');
      planned += 1;
      if (cgroup !== undefined) rmdirSync(dir);
      const caller = cgroup === undefined ? [] : [{ port: 15101, match: { kind: 'cgroup', ...cgroup } as const }];
      const plan = { ...UID_1001, callers: [...caller, ...UID_1001.callers] };
      return { plan, waitingFor: cgroup === undefined ? ['flees.service'] : [], unknownUsers: [] };
    },
  });
  capture.listening(true);
  const report = await capture.apply(true);
  assert.equal(report.state, 'on');
  assert.deepEqual(report.waitingFor, ['flees.service']);
  assert.ok(planned > 1);
});

test('trysail capture clean removes everything as root with agent, Envoy and holder dead or hung', {
  skip,
}, async (t) => {
  const { host } = await twoNamespaces(t);
  const { holder, dir } = await kept(t, host);
  await startProxy(t, host, [{ address: '127.0.0.1', port: 15101, to: 'answer' }], holder.control);
  await holder.apply({ ...UID_1001, outboundOnFailure: 'deny' });
  assert.deepEqual(tables(host), ['table inet trysail', 'table inet trysail_guard']);
  await writeFile(
    join(dir, 'agent.yaml'),
    `host: { address: 10.9.0.1 }\nidentity: { provider: none }\npaths: { state: ${dir}, run: ${dir} }\n`,
  );
  const clean = async (): Promise<string> =>
    host.run(program(), 'capture', 'clean', '--config', join(dir, 'agent.yaml'), '--socket', join(dir, 'no.sock'));
  assert.equal(await clean(), 'Removed without the agent: table inet trysail, table inet trysail_guard.\n');
  assert.deepEqual(tables(host), []);
  assert.equal(await clean(), 'There were no rules of capture.\n');
  // As the removal of a package does it, which leaves nobody to ask.
  await host.run(
    'sh',
    '-c',
    'nft add table inet trysail_guard; nft add table inet trysail_bypass; nft add table inet other',
  );
  await host.run('ip', 'rule', 'add', 'fwmark', '1337', 'lookup', '133');
  await host.run('sh', SCRIPT, 'remove');
  assert.deepEqual(tables(host), ['table inet other']);
  assert.doesNotMatch(await host.run('ip', 'rule'), /0x539/);
});
