import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LogTail } from './log-tail.ts';

async function tailOf(
  t: TestContext,
  maxBytes?: number,
): Promise<{ path: string; lines: string[]; open: () => LogTail }> {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'envoy.log');
  const lines: string[] = [];
  const open = (): LogTail => {
    const tail = new LogTail({
      path,
      onLine: (line) => lines.push(line),
      ...(maxBytes === undefined ? {} : { maxBytes }),
    });
    t.after(() => tail.stop());
    return tail;
  };
  return { path, lines, open };
}

test('LogTail hands over whole lines as they come, also one written in pieces', async (t) => {
  const { path, lines, open } = await tailOf(t);
  const tail = open();
  await tail.start();
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await appendFile(path, 'one\ntw');
  await tail.read();
  assert.deepEqual(lines, ['one']);
  await appendFile(path, 'o\n\nthree\n');
  await tail.read();
  assert.deepEqual(lines, ['one', 'two', 'three']);
});

test('LogTail reads on where the last reader stopped', async (t) => {
  const { path, lines, open } = await tailOf(t);
  const first = open();
  await first.start();
  await appendFile(path, 'one\n');
  await first.stop();
  await appendFile(path, 'two\n');
  await open().start();
  assert.deepEqual(lines, ['one', 'two']);
});

test('LogTail starts at the beginning when the position it kept cannot be right', async (t) => {
  const { path, lines, open } = await tailOf(t);
  await writeFile(path, 'one\n');
  await writeFile(`${path}.position`, '5000');
  await open().start();
  assert.deepEqual(lines, ['one']);
});

test('LogTail empties a file that has grown beyond its limit, and misses nothing', async (t) => {
  const { path, lines, open } = await tailOf(t, 20);
  const tail = open();
  await tail.start();
  await appendFile(path, 'a line of more than twenty bytes\n');
  await tail.read();
  assert.equal((await stat(path)).size, 0);
  assert.equal(await readFile(`${path}.position`, 'utf8'), '0');
  await appendFile(path, 'next\n');
  await tail.read();
  assert.deepEqual(lines, ['a line of more than twenty bytes', 'next']);
});

test('LogTail cuts a line without an end instead of keeping it', async (t) => {
  const { path, lines, open } = await tailOf(t);
  const tail = open();
  await tail.start();
  await appendFile(path, 'x'.repeat(200_000));
  await tail.read();
  await tail.stop();
  assert.equal(lines.join('').length, 200_000);
  assert.ok(lines.length > 1);
});

test('LogTail hands over text of several bytes a character across the border of two reads', async (t) => {
  const { path, lines, open } = await tailOf(t);
  const text = `${'a'.repeat(64 * 1024 - 1)}ü`;
  await writeFile(path, `${text}\n`);
  const tail = open();
  await tail.start();
  assert.ok(lines.join('') === text, 'the text is whole');
});
