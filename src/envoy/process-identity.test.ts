import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { test } from 'node:test';
import { commandLine, findProcesses, identify, isRunning } from './process-identity.ts';

test('identify() knows this process, and isRunning() tells it from one with its number', () => {
  const own = identify(process.pid);
  assert.ok(own !== undefined && isRunning(own));
  assert.equal(isRunning({ ...own, startTime: `${own.startTime}0` }), false);
  assert.equal(isRunning({ ...own, bootId: 'another boot' }), false);
  assert.equal(commandLine(process.pid)[0], process.execPath);
});

test('isRunning() is false of a process that has ended, reaped or not', async (t) => {
  // The shell never waits for its child, which stays a zombie as long as the shell lives.
  const shell = spawn('/bin/sh', ['-c', 'cat <&3 >&2 & echo $!; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
  });
  t.after(() => shell.kill('SIGKILL'));
  const [chunk] = (await once(shell.stdout as Readable, 'data')) as [Buffer];
  const identity = identify(Number(chunk.toString()));
  assert.ok(identity !== undefined);
  assert.equal(isRunning(identity), true);
  // What the child waits for.
  (shell.stdio[3] as Writable).end();
  while (isRunning(identity)) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(identify(identity.pid), undefined);
  shell.kill('SIGKILL');
  await once(shell, 'exit');
});

test('findProcesses() finds by arguments', async () => {
  const child = spawn('sleep', ['1000.125']);
  await once(child, 'spawn');
  assert.deepEqual(
    findProcesses((args) => args[1] === '1000.125').map(({ pid }) => pid),
    [child.pid],
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.deepEqual(
    findProcesses((args) => args[1] === '1000.125'),
    [],
  );
});
