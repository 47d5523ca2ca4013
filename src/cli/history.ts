/** `trysail history` and `trysail rollback`: who changed what and when, and the way back. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Revision } from '../fleet/history.ts';
import { diagnosticText, diffLines } from './change-text.ts';
import {
  addFleetOptions,
  addKeyOption,
  type FleetOptions,
  type KeyOptions,
  messageOption,
  signingKeyOf,
  withFleet,
} from './fleet-options.ts';
import { alignColumns, type OutputFormat, outputOption, printable, serialise } from './output.ts';
import { publishChange } from './publish-change.ts';
import { addStageOptions, type StageOptions } from './rollout-options.ts';

interface HistoryOptions extends FleetOptions {
  readonly namespace: string;
  readonly allNamespaces?: boolean;
  readonly output: OutputFormat;
}

interface RollbackOptions extends FleetOptions, KeyOptions, StageOptions {
  readonly namespace: string;
  readonly to: number;
  readonly dryRun?: boolean;
  readonly message?: string;
}

function historyText(revisions: readonly Revision[]): string {
  if (revisions.length === 0) return 'Nothing was ever published there.\n';
  const rows = revisions.map((one) => [
    one.namespace,
    String(one.revision),
    one.at,
    printable(one.publisher),
    one.step === undefined ? one.action : `${one.action} ${one.step}`,
    `+${one.created} ~${one.changed} -${one.deleted}`,
    one.with.length === 0 ? '-' : one.with.join(','),
    printable(one.message ?? ''),
  ]);
  const heading = ['NAMESPACE', 'REVISION', 'AT', 'PUBLISHER', 'ACTION', 'RESOURCES', 'WITH', 'MESSAGE'];
  return `${alignColumns([heading, ...rows]).join('\n')}\n`;
}

export function registerHistoryCommand(program: Command): void {
  const command = program
    .command('history')
    .description("Show who changed the fleet's configuration, when, and why.")
    .option('-n, --namespace <name>', 'Of this namespace.', 'default')
    .option('-A, --all-namespaces', 'Of all namespaces.')
    .addHelpText(
      'after',
      `
Example:
  trysail history -n shop`,
    )
    .addOption(outputOption())
    .action(async (options: HistoryOptions) => {
      const { fleetNamespaces, namespaceHistory } = await import('../fleet/fleet.ts');
      const revisions = await withFleet(options, async (fleet) => {
        const names = options.allNamespaces === true ? await fleetNamespaces(fleet) : [options.namespace];
        return (await Promise.all(names.map(async (name) => namespaceHistory(fleet, name)))).flat();
      });
      revisions.sort((a, b) => b.at.localeCompare(a.at));
      process.stdout.write(
        options.output === 'text' ? historyText(revisions) : await serialise(revisions, options.output),
      );
    });
  addFleetOptions(command);
}

function revisionNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('Write a revision as "trysail history" shows it.');
}

export function registerRollbackCommand(program: Command): void {
  const command = program
    .command('rollback')
    .description('Publish an earlier revision of a namespace as a new one.')
    .option('-n, --namespace <name>', 'Of this namespace.', 'default')
    .requiredOption('--to <revision>', 'The revision whose resources come back.', revisionNumber)
    .option('--dry-run', 'Show what would change; write nothing.')
    .addHelpText(
      'after',
      `
Example:
  trysail rollback -n shop --to 12 --key shop.key`,
    )
    .addOption(messageOption())
    .action(async (options: RollbackOptions) => {
      const { FleetRefusal, proposeRollback, rollBack } = await import('../fleet/fleet.ts');
      const { namespace, to } = options;
      if (options.dryRun === true) {
        const { changes, diagnostics } = await withFleet(options, async (fleet) =>
          proposeRollback(fleet, namespace, to),
        );
        process.stderr.write(diagnosticText(diagnostics));
        process.stdout.write(changes.length === 0 ? 'Nothing would change.\n' : diffLines(changes).join('\n'));
        return;
      }
      const key = await signingKeyOf(options);
      try {
        await publishChange(options, key, 'text', async (fleet, signed) => rollBack(fleet, namespace, to, signed));
      } catch (error) {
        if (error instanceof FleetRefusal) process.stderr.write(diagnosticText(error.diagnostics));
        throw error;
      }
    });
  addKeyOption(addFleetOptions(addStageOptions(command)));
}
