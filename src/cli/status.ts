/** `trysail status`: asks the agent how this host is. */
import type { Command } from 'commander';
import { callApi } from '../api/client.ts';
import { statusProblems } from '../api/status-problems.ts';
import { TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import { socketOption } from './api-socket.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { type OutputFormat, outputOption, serialise } from './output.ts';
import { errorText } from './report-error.ts';
import { COLOUR_STYLE, PLAIN_STYLE, statusText } from './status-text.ts';

interface StatusOptions {
  readonly socket: string;
  readonly output: OutputFormat;
  readonly watch?: boolean;
}

const WATCH_INTERVAL_MS = 2000;
const CLEAR_SCREEN = '\u001b[H\u001b[2J\u001b[3J';

async function report(options: StatusOptions): Promise<{ readonly text: string; readonly code: ExitCode }> {
  const status = await callApi(options.socket, 'status', undefined);
  const nowMs = Date.now();
  const problems = statusProblems(status, nowMs);
  const code = problems.some(({ severity }) => severity === 'error') ? EXIT.unhealthy : EXIT.ok;
  // https://no-color.org
  const colours = process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '';
  const text =
    options.output === 'text'
      ? statusText(status, problems, nowMs, colours ? COLOUR_STYLE : PLAIN_STYLE)
      : await serialise(status, options.output);
  return { text, code };
}

async function watch(options: StatusOptions): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  const screen = process.stdout.isTTY && options.output === 'text';
  while (!stop.signal.aborted) {
    try {
      const { text } = await report(options);
      process.stdout.write(screen ? `${CLEAR_SCREEN}${text}` : text);
    } catch (error) {
      // An agent that restarts is what one watches for.
      if (!(error instanceof TrysailError)) throw error;
      process.stderr.write(screen ? `${CLEAR_SCREEN}${errorText(error)}` : errorText(error));
    }
    await sleep(WATCH_INTERVAL_MS, stop.signal);
  }
  process.exitCode = EXIT.interrupted;
}

export function registerStatusCommand(program: Command): void {
  program
    .command('status')
    .description('Show whether this host is well, and everything about it.')
    .addOption(outputOption())
    .addOption(socketOption())
    .option('-w, --watch', 'Show it again every two seconds.')
    .addHelpText(
      'after',
      `
Exits with ${EXIT.ok} when all is well, ${EXIT.unhealthy} when not, ${EXIT.agentNotRunning} when no agent answers.

Examples:
  trysail status
  trysail status --watch
  trysail status -o json | jq '.certificates.workloads[].notAfter'`,
    )
    .action(async (options: StatusOptions) => {
      if (options.watch === true) return await watch(options);
      const { text, code } = await report(options);
      process.stdout.write(text);
      process.exitCode = code;
    });
}
