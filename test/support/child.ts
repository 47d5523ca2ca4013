/** Child processes that end with the test that started them. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { TestContext } from 'node:test';

export interface Child {
  readonly process: ChildProcess;
  /** Everything it printed so far, both streams. */
  output(): string;
  /** Sends a signal and waits for the end; SIGKILL after a minute. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  readonly exited: Promise<number | null>;
}

/** Starts a program; `t` stops it at the end of the test, whatever happens. */
export function startChild(
  t: Pick<TestContext, 'after'>,
  command: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): Child {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      text += String(error);
      resolve(null);
    });
    // What it printed last is read in the same turn of the loop in which its end is told, perhaps after it.
    child.once('exit', (code) => setImmediate(() => setImmediate(() => resolve(code))));
  });
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
    await exited;
    clearTimeout(timer);
  };
  t.after(() => stop());
  return { process: child, output: () => text, stop, exited };
}
