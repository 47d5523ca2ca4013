/** The launcher alone, in both shells that may be `sh`, with programs of its own and with the real Envoy. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { appendFile, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { identify, isRunning } from '../../src/envoy/process-identity.ts';
import { sleep } from '../../src/lib/sleep.ts';
import { type Child, startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { LAUNCHER } from './support.ts';

interface Launched {
  readonly dir: string;
  readonly launcher: Child;
  /** Writes a file of arguments that says `program`, and gives its path. */
  programFile(name: string, script: string, ...args: readonly string[]): Promise<string>;
  ask(text: string): Promise<void>;
  pid(epoch: number): number;
}

async function launch(
  t: TestContext,
  shell: string,
  options: { readonly request?: (dir: string) => string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Launched> {
  const dir = join(await tempDir(t), 'run');
  await mkdir(dir, { recursive: true });
  const request = options.request?.(dir);
  const launcher = startChild(t, shell, [LAUNCHER, dir, ...(request === undefined ? [] : [request])], {
    env: { ...process.env, TRYSAIL_ENVOY_STOP_S: '1', ...options.env },
  });
  await eventually('the launcher is there', () => existsSync(join(dir, 'launcher.pid')));
  return {
    dir,
    launcher,
    programFile: async (name, script, ...args) => {
      await writeFile(join(dir, `${name}.sh`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      await writeFile(join(dir, name), `${[join(dir, `${name}.sh`), ...args].join('\n')}\n`);
      return join(dir, name);
    },
    ask: async (text) => appendFile(join(dir, 'control'), text),
    pid: (epoch) => {
      try {
        return Number(readFileSync(join(dir, `envoy.${epoch}.pid`), 'utf8'));
      } catch {
        return 0;
      }
    },
  };
}

const alive = (pid: number): boolean => identify(pid) !== undefined;
const LONG = 'exec sleep 100';

for (const shell of ['dash', 'bash']) {
  test(`${shell}: starts what it is asked for, also after nonsense, and ends with its last one's status`, async (t) => {
    const run = await launch(t, shell);
    const file = await run.programFile(
      'args',
      'printf "%s\\n" "$@" > "$1.out"; exec sleep 100',
      join(run.dir, 'a b'),
      '%v * $HOME',
    );
    const random = await open('/dev/urandom', 'r');
    const { buffer } = await random.read(Buffer.alloc(5000), 0, 5000);
    await random.close();
    await run.ask(
      'start\nstart x y\nstart -1 /etc/passwd\nstart 0 relative\nended 7 7\n1 ended 1 0\n1 gone\nended\nkill me\nhalf a li',
    );
    const control = await open(join(run.dir, 'control'), 'w');
    await control.write(buffer);
    await control.close();
    await run.ask(`\nstart 0 ${file}\n`);
    await eventually('it runs', () => run.pid(0) > 0 && alive(run.pid(0)));
    await eventually(
      'it has its arguments',
      async () => (await readFile(join(run.dir, 'a b.out'), 'utf8')).split('\n').length === 3,
    );
    assert.equal(await readFile(join(run.dir, 'a b.out'), 'utf8'), `${join(run.dir, 'a b')}\n%v * $HOME\n`);

    const pid = run.pid(0);
    await run.ask(`start 0 ${file}\nstart 2 ${file}\n`);
    await eventually('both are refused', () => run.launcher.output().split('no start of epoch').length === 3);
    assert.equal(run.pid(0), pid);
    process.kill(pid, 'SIGKILL');
    await eventually('the launcher has ended', () => run.launcher.process.exitCode !== null);
    assert.equal(run.launcher.process.exitCode, 137);
    assert.deepEqual(
      readdirSync(run.dir).filter((name) => /control|pid$/.test(name)),
      [],
    );
  });

  for (const [what, stopS] of [
    ['has its time', '600'],
    ['is killed', '1'],
  ] as const)
    test(`${shell}: SIGTERM ends all, and what does not hear it ${what}`, async (t) => {
      const run = await launch(t, shell, { env: { TRYSAIL_ENVOY_STOP_S: stopS } });
      const polite = await run.programFile('polite', LONG);
      const deaf = await run.programFile('deaf', 'trap \'\' TERM; touch "$0.deaf"; while :; do sleep 1; done');
      await run.ask(`start 0 ${polite}\nstart 1 ${deaf}\n`);
      await eventually('both run', () => alive(run.pid(0)) && existsSync(join(run.dir, 'deaf.sh.deaf')));
      const pids = [run.pid(0), run.pid(1)];
      run.launcher.process.kill('SIGTERM');
      await eventually('the first is gone', () => !alive(pids[0] ?? 0));
      if (what === 'has its time') {
        assert.ok(alive(pids[1] ?? 0));
        process.kill(pids[1] ?? 0, 'SIGKILL');
      }
      await eventually('all are gone', () => run.launcher.process.exitCode !== null);
      assert.equal(run.launcher.process.exitCode, 137);
      assert.deepEqual(pids.map(alive), [false, false]);
    });

  test(`${shell}: its folder taken away does not keep it from ending`, async (t) => {
    const run = await launch(t, shell);
    const file = await run.programFile('args', LONG);
    await run.ask(`start 0 ${file}\n`);
    await eventually('it runs', () => alive(run.pid(0)));
    const pid = run.pid(0);
    await rm(run.dir, { recursive: true });
    run.launcher.process.kill('SIGTERM');
    await eventually('all are gone', () => run.launcher.process.exitCode !== null);
    assert.equal(run.launcher.process.exitCode, 143);
    assert.ok(!alive(pid));
  });

  test(`${shell}: its death by SIGKILL leaves what it has started, and its requests are refused`, async (t) => {
    const run = await launch(t, shell);
    // As Envoy does: prctl(PR_SET_PDEATHSIG, SIGTERM).
    const file = await run.programFile('args', 'exec setpriv --pdeathsig TERM sleep 100');
    await run.ask(`start 0 ${file}\n`);
    await eventually('it runs', () => alive(run.pid(0)));
    const pid = run.pid(0);
    const identity = identify(pid);
    run.launcher.process.kill('SIGKILL');
    await eventually('the launcher is gone', () => run.launcher.process.signalCode !== null);
    await sleep(100);
    assert.ok(identity !== undefined && isRunning(identity));
    process.kill(pid, 'SIGKILL');
  });

  test(`${shell}: \`then\` starts another one at the end of the last, \`end\` and \`kill\` end one`, async (t) => {
    const run = await launch(t, shell);
    const file = await run.programFile('args', LONG);
    const deaf = await run.programFile('deaf', "trap '' TERM; while :; do sleep 1; done");
    await run.ask(`start 0 ${deaf}\n`);
    await eventually('it runs', () => alive(run.pid(0)));
    const first = run.pid(0);
    await run.ask(`then 0 ${file}\nend 0\nkill 0\n`);
    await eventually('another one runs', () => run.pid(0) !== first && alive(run.pid(0)));
    assert.ok(!alive(first));
    assert.equal(run.launcher.process.exitCode, null);
    await run.ask('end 0\n');
    await eventually('the launcher has ended', () => run.launcher.process.exitCode !== null);
    assert.equal(run.launcher.process.exitCode, 143);
  });

  test(`${shell}: the last good one starts when nobody asks, and only then`, async (t) => {
    const dir = await tempDir(t);
    await writeFile(join(dir, 'last-good'), 'sleep\n100\n');
    const env = { TRYSAIL_LAST_GOOD: join(dir, 'last-good'), TRYSAIL_LAST_GOOD_AFTER_S: '0.3' };
    const silent = await launch(t, shell, { env });
    await eventually('the last good one runs', () => alive(silent.pid(0)));
    const asked = await launch(t, shell, { env: { ...env, TRYSAIL_LAST_GOOD_AFTER_S: '600' } });
    const file = await asked.programFile('args', LONG);
    await asked.ask(`start 0 ${file}\n`);
    await eventually('it runs', () => alive(asked.pid(0)));
    const pid = asked.pid(0);
    // What its timer says when the time is over.
    await asked.ask(`${asked.launcher.process.pid} quiet\nno request\n`);
    await eventually('it is heard', () => asked.launcher.output().includes('not understood'));
    assert.equal(asked.pid(0), pid);
    assert.doesNotMatch(asked.launcher.output(), /last good/);
    for (const { launcher } of [silent, asked]) launcher.process.kill('SIGTERM');
    // Killed meanwhile, it would leave its timer behind.
    for (const { launcher } of [silent, asked])
      await eventually('it has ended', () => launcher.process.exitCode !== null);
  });

  test(`${shell}: the capture FIFO ends with the last Envoy, whoever reads it before`, async (t) => {
    const fifo = join(await tempDir(t), 'capture');
    execFileSync('mkfifo', [fifo]);
    const run = await launch(t, shell, { env: { TRYSAIL_CAPTURE_FIFO: fifo } });
    const file = await run.programFile('args', LONG);
    // Nobody reads it yet: the start must not wait.
    await run.ask(`start 0 ${file}\n`);
    await eventually('it runs', () => alive(run.pid(0)));
    const reader = startChild(t, 'cat', [fifo]);
    await run.ask(`start 1 ${file}\n`);
    await eventually('both run', () => alive(run.pid(1)));
    const pids = [run.pid(0), run.pid(1)];
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await sleep(200);
    assert.equal(reader.process.exitCode, null);
    // The launcher stopped in its tracks: the end must not need it.
    run.launcher.process.kill('SIGSTOP');
    process.kill(pids[1] ?? 0, 'SIGKILL');
    await eventually('the reader has seen the end', () => reader.process.exitCode === 0);
    run.launcher.process.kill('SIGCONT');
  });

  test(`${shell}: a first request that cannot be met ends it`, async (t) => {
    const dir = await tempDir(t);
    const launcher = startChild(t, shell, [LAUNCHER, dir, `start 0 ${dir}/nothing`]);
    await eventually('it has ended', () => launcher.process.exitCode !== null);
    assert.match(launcher.output(), /cannot start epoch '0'/);
  });
}
