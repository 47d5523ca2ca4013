/** Programs of the host that a command runs to their end: nft, ip, logger. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { errorMessage } from '../../lib/errors.ts';

const run = promisify(execFile);
const TIMEOUT_MS = 3000;

/** Runs one, three seconds at most; what it printed. Rejects with what it complained of. */
export async function runTool(program: string, ...args: readonly string[]): Promise<string> {
  try {
    return (await run(program, [...args], { timeout: TIMEOUT_MS })).stdout;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new Error(said === '' ? errorMessage(error) : said, { cause: error });
  }
}
