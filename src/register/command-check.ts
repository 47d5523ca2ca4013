/** Health checks that are commands: run without a shell, within a time limit, one at a time; only the exit code counts. */
import { spawn } from 'node:child_process';
import type { CheckStatus } from '../consul/health.ts';
import { sleep } from '../lib/sleep.ts';
import type { CheckSpec } from './instance.ts';

type CommandSpec = Extract<CheckSpec, { kind: 'command' }>;

/** The outcome of one run; `reason` is one of a few constant texts. */
export interface CommandResult {
  readonly status: CheckStatus;
  readonly reason: string;
}

/**
 * Runs a check's command once. It gets no input, its output is discarded, and it is killed with all its children when
 * the time is over or `signal` aborts. Never rejects: a command that cannot be started is critical.
 */
function runCommand(spec: Pick<CommandSpec, 'command' | 'timeoutMs'>, signal: AbortSignal): Promise<CommandResult> {
  const [file, ...args] = spec.command;
  return new Promise((resolve) => {
    // Its own process group, so that what it starts ends with it.
    const child = spawn(file, args, { stdio: 'ignore', detached: true });
    let cut: string | undefined;
    const kill = (reason: string): void => {
      cut ??= reason;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        child.kill('SIGKILL');
      }
    };
    const timer = setTimeout(() => kill('the command took too long'), spec.timeoutMs);
    const onAbort = (): void => kill('the agent stops');
    signal.addEventListener('abort', onAbort);
    const finish = (result: CommandResult): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      resolve(result);
    };
    child.once('error', () => finish({ status: 'critical', reason: 'the command cannot be started' }));
    child.once('exit', (code) => {
      if (cut !== undefined) finish({ status: 'critical', reason: cut });
      else if (code === 0) finish({ status: 'passing', reason: 'exit code 0' });
      else if (code === 1) finish({ status: 'warning', reason: 'exit code 1' });
      else finish({ status: 'critical', reason: code === null ? 'ended by a signal' : 'exit code above 1' });
    });
    if (signal.aborted) onAbort();
  });
}

/** Repeats a command check until `signal` aborts; runs never overlap. `report` must not reject. */
export async function repeatCommand(
  spec: CommandSpec,
  report: (result: CommandResult) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const startedAt = performance.now();
    const result = await runCommand(spec, signal);
    if (signal.aborted) return;
    await report(result);
    await sleep(Math.max(100, spec.intervalMs - (performance.now() - startedAt)), signal);
  }
}
