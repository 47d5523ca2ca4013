import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readCapturePorts, saveCapturePorts } from './capture-ports-file.ts';

test('ports are read as they were saved, and a file that is not ours is none', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  assert.equal((await readCapturePorts(dir)).size, 0);
  const ports = new Map([
    ['unit:orders.service', 15001],
    ['rest', 15101],
  ]);
  await saveCapturePorts(dir, ports);
  assert.deepEqual(await readCapturePorts(dir), ports);
  await writeFile(join(dir, 'capture-ports.json'), '{"version": 1, "ports": {"rest": "no"}}');
  assert.equal((await readCapturePorts(dir)).size, 0);
});
