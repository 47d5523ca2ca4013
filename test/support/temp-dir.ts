/** A folder for one test. */
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const left = new Set<string>();
process.once('exit', () => {
  for (const dir of left) rmSync(dir, { recursive: true, force: true });
});

/** Short path (Unix sockets allow 107 bytes), removed at the end of the test. */
export async function tempDir(t: Pick<TestContext, 'after'>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  left.add(dir);
  // Hooks run in the order of their making, so that programs of the test may still write here. A hook that fails would
  // keep those after it from ending them: what cannot be removed now is removed with the process.
  t.after(() =>
    rm(dir, { recursive: true, force: true }).then(
      () => undefined,
      () => undefined,
    ),
  );
  return dir;
}
