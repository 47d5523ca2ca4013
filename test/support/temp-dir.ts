/** A folder for one test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Short path (Unix sockets allow 107 bytes), removed at the end of the test. */
export async function tempDir(t: Pick<TestContext, 'after'>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
