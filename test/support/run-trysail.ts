/** One call of the program, as a user makes it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './tools.ts';

export interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `trysail` with these arguments to its end, at most three minutes. */
export async function trysail(...args: readonly string[]): Promise<Run> {
  const child = spawn(join(ROOT, 'scripts/trysail'), args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 180_000 });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  return { code, out, err };
}
