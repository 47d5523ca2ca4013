/** Short commands whose output is wanted whole. */
import { spawn } from 'node:child_process';

/**
 * Runs a command to its end and returns its standard output.
 * Throws an Error with the command and its standard error when it fails or takes longer than `timeoutMs`.
 */
export async function runCommand(
  argv: readonly string[],
  options: { readonly input?: string; readonly timeoutMs?: number; readonly cwd?: string } = {},
): Promise<string> {
  const { input = '', timeoutMs = 60_000, cwd } = options;
  const [command = '', ...args] = argv;
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    ...(cwd === undefined ? {} : { cwd }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  // A command that ends without reading its input is no failure of ours.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve(status ?? signal ?? 'unknown'));
  });
  if (code === 0) return stdout;
  throw new Error(`${argv.join(' ')} ended with ${code}: ${(stderr || stdout).trim().slice(-2000)}`);
}
