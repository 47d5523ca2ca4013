/** `trysail join`: one command from the installed package to a member of the mesh. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { JoinReport } from '../agent/join.ts';
import { formatDuration, parseDurationMs } from '../lib/duration.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';
import { alignColumns, type OutputFormat, outputOption, serialise } from './output.ts';

interface JoinCommandOptions {
  readonly config: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly name?: string;
  readonly address?: string;
  readonly consulAddress?: string;
  readonly mode?: string;
  readonly callAs?: string;
  readonly service?: readonly string[];
  readonly upstream?: readonly string[];
  readonly timeout: string;
  readonly check?: boolean;
  readonly dryRun?: boolean;
  readonly output: OutputFormat;
}

const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), value];

function usage(message: string, remedy: string): TrysailError {
  return new TrysailError('JOIN_OPTION_INVALID', message, { remedy });
}

function tokenText({ token, tokenFile }: JoinCommandOptions): string {
  if ((token === undefined) === (tokenFile === undefined)) {
    throw usage(
      'a join needs --token or --token-file, one of them',
      'Make a token with "trysail token create" on the CA.',
    );
  }
  if (token !== undefined) return token;
  try {
    return readFileSync(tokenFile === undefined || tokenFile === '-' ? 0 : tokenFile, 'utf8');
  } catch (error) {
    throw new TrysailError('JOIN_TOKEN_UNREADABLE', `--token-file: ${errorMessage(error)}`, {
      remedy: 'Name the file that holds the one line which "trysail token create" printed, or - for standard input.',
      cause: error,
    });
  }
}

function fileLines({ files }: JoinReport, planned: boolean): readonly string[] {
  return files.flatMap(({ path, change, added, kept }) => {
    const words = {
      written: planned ? 'would be written' : 'written',
      completed: planned ? 'would be completed' : 'completed',
      unchanged: 'stays as it is',
    };
    return [
      `${path} ${words[change]}${added.length + kept.length === 0 ? '.' : ':'}`,
      ...added.map((line) => `  ${line}`),
      ...kept.map((line) => `  stays: ${line}`),
    ];
  });
}

function certificateLines({ certificates }: JoinReport, nowMs: number): readonly string[] {
  if (certificates === undefined) return [];
  const { host, workloads } = certificates;
  const rows = [...workloads, ...(host === undefined ? [] : [host])].map(({ spiffeId, notAfter, nextRenewal }) => [
    `  ${spiffeId}`,
    notAfter === undefined ? '' : `until ${notAfter}`,
    nextRenewal === undefined ? '' : `renewed in ${formatDuration(Math.max(0, Date.parse(nextRenewal) - nowMs))}`,
  ]);
  return ['With the identities:', ...alignColumns(rows)];
}

function reportText(report: JoinReport): string {
  const { state, host, address, trustDomain, ca, units, toStart, hadJoined } = report;
  const lines = [...fileLines(report, state === 'planned')];
  if (state === 'planned') {
    lines.push(`${host} (${address}) would join ${trustDomain} by the CA at ${ca}; the token is good for it.`);
    if (toStart !== undefined)
      lines.push(`Nothing would be started: systemd has no units of Trysail here. You would run: ${toStart}`);
    else lines.push(`Enabled and started would be: ${units.join(', ')}`);
  } else if (state === 'configured') {
    lines.push(
      `${host} is ready to join ${trustDomain}. systemd has no units of Trysail here; start the agent yourself:`,
      `  ${toStart ?? ''}`,
    );
  } else {
    lines.push(
      `${host} (${address}) is in the mesh ${trustDomain}${hadJoined ? ', as it was' : ''}.`,
      ...certificateLines(report, Date.now()),
      ...(report.toDo ?? []),
      'Next: "trysail status" shows how the host is; "trysail check" what could be in its way.',
    );
  }
  return `${lines.join('\n')}\n`;
}

async function check({ config, output }: JoinCommandOptions): Promise<void> {
  const { joinState } = await import('../agent/join-check.ts');
  const state = await joinState(resolve(config));
  process.stdout.write(output === 'text' ? `${state.text}\n` : await serialise(state, output));
  process.exitCode = state.joined ? EXIT.ok : EXIT.notJoined;
}

async function join(options: JoinCommandOptions): Promise<void> {
  if (options.check === true) return check(options);
  const timeoutMs = parseDurationMs(options.timeout);
  if (timeoutMs === undefined) throw usage(`"${options.timeout}" is not a duration`, 'Write --timeout like 90s.');
  const [{ joinHost }, { parseService, parseUpstream }, { realMachine }] = await Promise.all([
    import('../agent/join.ts'),
    import('../agent/join-settings.ts'),
    import('../agent/join-machine.ts'),
  ]);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const report = await joinHost({
    tokenText: tokenText(options),
    configFile: resolve(options.config),
    wanted: {
      name: options.name,
      address: options.address,
      consulAddress: options.consulAddress,
      mode: options.mode,
      callAs: options.callAs,
      services: (options.service ?? []).map(parseService),
      upstreams: (options.upstream ?? []).map(parseUpstream),
    },
    dryRun: options.dryRun === true,
    timeoutMs,
    machine: realMachine(),
    say: (line) => void process.stderr.write(`${line}\n`),
    signal: stop.signal,
  });
  process.stdout.write(options.output === 'text' ? reportText(report) : await serialise(report, options.output));
}

export function registerJoinCommand(program: Command): void {
  program
    .command('join')
    .description('Make this host a member of a mesh.')
    .option('--config <file>', 'Path of agent.yaml; what it says already stays.', '/etc/trysail/agent.yaml')
    .option('--token <text>', 'The join token. Other users see it in the list of processes: better a file.')
    .option('--token-file <file>', 'The file with the join token; - for standard input.')
    .option('--name <name>', "The host's name in the mesh, if not the machine's.")
    .option('--address <ip>', 'Where peers reach the host, if not at the interface of the default route.')
    .option('--consul-address <url>', "The host's Consul agent, if not http://127.0.0.1:8500.")
    .option('--service <name:port=app>', 'A service of this host, such as orders:8080=9090 (repeatable).', collect)
    .option('--upstream <name=port>', 'A service that it calls, such as payments=9001 (repeatable).', collect)
    .option('--call-as <account>', 'Whose identity calls through loopback upstreams carry: namespace/account.')
    .option('--mode <mode>', 'What the mesh does for the services: off, observe, outbound or full.')
    .option('--timeout <duration>', 'How long to wait until the host is in the mesh.', '2m')
    .option('--check', 'Only say whether this host has joined; change nothing.')
    .option('--dry-run', 'Say what would be done, and do nothing.')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Looks at the host, the CA and Consul before it changes anything; writes agent.yaml and meshconfig.yaml where they are
not there yet; enables and starts the units; waits until the host is in the mesh. It may be run again at any time.

--check exits with ${EXIT.ok} when the host has joined and its credential is valid, ${EXIT.notJoined} when not.

Examples:
  trysail join --token-file join.token
  trysail join --token-file - --service orders:8080=9090 --upstream payments=9001 < join.token
  trysail join --check -o json`,
    )
    .action(join);
}
