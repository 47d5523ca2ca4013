/** `trysail leave`: undoes what `trysail join` and the agent did. */
import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { LeaveResult } from '../agent/leave.ts';
import { TrysailError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';
import { type OutputFormat, outputOption, printable, serialise } from './output.ts';

interface LeaveCommandOptions {
  readonly config: string;
  readonly yes?: boolean;
  readonly keepConfig?: boolean;
  readonly dryRun?: boolean;
  readonly output: OutputFormat;
}

const WORDS: Readonly<Record<LeaveResult['outcome'], string>> = {
  done: 'done',
  already: 'was so',
  skipped: 'not done',
  failed: 'FAILED',
  planned: 'to do',
};

function resultText({ what, outcome, detail, remedy }: LeaveResult): string {
  const more = detail === undefined ? '' : `: ${printable(detail)}`;
  return `${WORDS[outcome].padEnd(8)}  ${what}${more}\n${remedy === undefined ? '' : `          ${remedy}\n`}`;
}

async function confirm(config: string, keepConfig: boolean): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new TrysailError('LEAVE_UNCONFIRMED', 'leaving has to be confirmed, and nobody can be asked here', {
      remedy: 'Give --yes; --dry-run shows what would be undone.',
    });
  }
  const { leaveTarget } = await import('../agent/leave-target.ts');
  const { hostName, stateDir, configFiles } = await leaveTarget(config);
  process.stderr.write(
    `${hostName} leaves the mesh: its services leave Consul, traffic no longer passes Envoy, its credential is given up.
Removed for good: ${[...(stateDir === undefined ? [] : [stateDir]), ...(keepConfig ? [] : configFiles)].join(', ')}\n`,
  );
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await lines.question('Leave? [y/N] ');
  lines.close();
  if (/^y(?:es)?$/i.test(answer.trim())) return;
  throw new TrysailError('LEAVE_UNCONFIRMED', 'nothing was changed');
}

async function leave(options: LeaveCommandOptions): Promise<void> {
  const [dryRun, keepConfig] = [options.dryRun === true, options.keepConfig === true];
  const configFile = resolve(options.config);
  if (!dryRun && options.yes !== true) await confirm(configFile, keepConfig);
  const [{ leaveMesh }, { realMachine }] = await Promise.all([
    import('../agent/leave.ts'),
    import('../agent/join-machine.ts'),
  ]);
  const results = await leaveMesh({
    configFile,
    keepConfig,
    dryRun,
    machine: realMachine(),
    onResult: (result) => {
      if (options.output === 'text') process.stdout.write(resultText(result));
    },
    signal: AbortSignal.timeout(600_000),
  });
  if (options.output !== 'text') process.stdout.write(await serialise(results, options.output));
  process.exitCode = results.some(({ outcome }) => outcome === 'failed') ? EXIT.failed : EXIT.ok;
}

export function registerLeaveCommand(program: Command): void {
  program
    .command('leave')
    .description('Take this host out of the mesh, and undo everything that joining did.')
    .option('--config <file>', 'Path of agent.yaml.', '/etc/trysail/agent.yaml')
    .option('-y, --yes', 'Do not ask.')
    .option('--keep-config', 'Leave agent.yaml, meshconfig.yaml and the resources where they are.')
    .option('--dry-run', 'Say what would be undone, and undo nothing.')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Undoes one thing after the other: the agent, Consul, Envoy, the units, rules, names, the credential, state, configuration.
What fails is said and the others go on; it may be run again. Exits with ${EXIT.failed} when something failed.

Examples:
  trysail leave
  trysail leave --yes --keep-config
  trysail leave --dry-run`,
    )
    .action(leave);
}
