/**
 * The FIFO by which Envoys hold the rules of capture. It is there before there is anything to capture: an Envoy of today
 * that has it open can be captured to by a holder that starts tomorrow.
 */
import { execFile } from 'node:child_process';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** The FIFO in the folder where Envoys, the agent and the holder meet. */
export function captureFifo(dir: string): string {
  return join(dir, 'control');
}

/** Makes it where it is missing, in a folder that is there. Rejects with the error of the system. */
export async function makeCaptureFifo(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there?.isFIFO() === true) return;
  await promisify(execFile)('mkfifo', ['-m', '660', path]);
}
