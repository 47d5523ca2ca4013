/** `trysail rollout`: how far a change is that goes out in steps, and on or back with it. */
import type { Command } from 'commander';
import { revisionLines } from './change-text.ts';
import {
  addFleetOptions,
  addKeyOption,
  type FleetOptions,
  type KeyOptions,
  messageOption,
  signingKeyOf,
  withFleet,
} from './fleet-options.ts';
import { type OutputFormat, outputOption, serialise } from './output.ts';
import { addWaitOptions, hostLines, progressLine, type WaitOptions, waitForRollout } from './rollout-options.ts';

interface RolloutOptions extends FleetOptions, KeyOptions {
  readonly namespace: string;
  readonly message?: string;
  readonly output: OutputFormat;
}

export function registerRolloutCommands(program: Command): void {
  const rollout = program.command('rollout').description('See to a change that goes out in steps.');
  const named = (name: string, description: string): Command =>
    addFleetOptions(
      rollout.command(name).description(description).option('-n, --namespace <name>', 'Of this namespace.', 'default'),
    );

  named('status', 'Show how far it is, and which hosts have it.')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Example:
  trysail rollout status -n shop`,
    )
    .action(async (options: RolloutOptions) => {
      const { rolloutProgress } = await import('../fleet/rollout.ts');
      const progress = await withFleet(options, async (fleet) => rolloutProgress(fleet, options.namespace));
      process.stdout.write(
        options.output === 'text'
          ? `${[progressLine(progress), ...hostLines(progress)].join('\n')}\n`
          : await serialise(progress, options.output),
      );
    });

  addKeyOption(addWaitOptions(named('continue', 'Go on with it from the step where it is.')))
    .addHelpText(
      'after',
      `
Example:
  trysail rollout continue -n shop --key shop.key`,
    )
    .action(async (options: RolloutOptions & WaitOptions) => {
      const key = await signingKeyOf(options);
      await withFleet(options, async (fleet) => waitForRollout(fleet, options.namespace, key, options, false));
    });

  addKeyOption(named('back', 'Put what was in force before it back, on all hosts.'))
    .addOption(messageOption())
    .addHelpText(
      'after',
      `
Example:
  trysail rollout back -n shop --key shop.key`,
    )
    .action(async (options: RolloutOptions) => {
      const { takeBack } = await import('../fleet/rollout.ts');
      const key = await signingKeyOf(options);
      const revisions = await withFleet(options, async (fleet) =>
        takeBack(fleet, options.namespace, { key, message: options.message ?? 'taken back' }),
      );
      process.stdout.write(`${revisionLines(revisions).join('\n')}\n`);
    });
}
