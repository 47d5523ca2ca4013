import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createNotifier } from './notify.ts';

/** A `systemd-notify` that writes down its arguments. */
async function recorder(t: TestContext): Promise<{ env: NodeJS.ProcessEnv; told: () => Promise<string[]> }> {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'told');
  await writeFile(join(dir, 'systemd-notify'), `#!/bin/sh\nprintf '%s|' "$@" >> ${file}\necho >> ${file}\n`, {
    mode: 0o755,
  });
  return {
    env: { PATH: dir, NOTIFY_SOCKET: '/run/systemd/notify' },
    told: async () => (await readFile(file, 'utf8')).trim().split('\n'),
  };
}

test('createNotifier() says each thing in systemd’s words, for this process', async (t) => {
  const { env, told } = await recorder(t);
  const notifier = createNotifier(env);
  const all = [
    await notifier.ready('serving 3 services'),
    await notifier.status('two\nlines'),
    await notifier.watchdog(),
    await notifier.stopping(),
  ];
  assert.deepEqual(all, [true, true, true, true]);
  assert.deepEqual(await told(), [
    `--pid=${process.pid}|READY=1|STATUS=serving 3 services|`,
    `--pid=${process.pid}|STATUS=two lines|`,
    `--pid=${process.pid}|WATCHDOG=1|`,
    `--pid=${process.pid}|STOPPING=1|`,
  ]);
});

test('reloading() carries the time that notify-reload asks for', async (t) => {
  const { env, told } = await recorder(t);
  await createNotifier(env).reloading();
  assert.match((await told())[0] ?? '', /RELOADING=1\|MONOTONIC_USEC=\d+\|$/);
});

test('without systemd nothing is called, and a program that fails is no error', async (t) => {
  const { env } = await recorder(t);
  const { NOTIFY_SOCKET: _, ...without } = env;
  assert.equal(await createNotifier(without).ready(), false);
  assert.equal(await createNotifier({ ...env, PATH: '/nonexistent' }).ready(), false);
});

test('watchdogIntervalMs is half of what the unit allows, when it is meant for this process', () => {
  const interval = (env: NodeJS.ProcessEnv): number | undefined => createNotifier(env).watchdogIntervalMs;
  assert.equal(interval({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid) }), 15_000);
  assert.equal(interval({ WATCHDOG_USEC: '30000000' }), 15_000);
  assert.equal(interval({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' }), undefined);
  assert.equal(interval({}), undefined);
});
