/** `trysail freeze` and `trysail unfreeze`: stops all changes of the fleet's configuration, and lets them go on. */
import type { Command } from 'commander';
import {
  addFleetOptions,
  addKeyOption,
  type FleetOptions,
  type KeyOptions,
  messageOption,
  signingKeyOf,
  withFleet,
} from './fleet-options.ts';
import { printable } from './output.ts';

interface FreezeOptions extends FleetOptions, KeyOptions {
  readonly message?: string;
  readonly status?: boolean;
}

async function set(options: FreezeOptions, frozen: boolean): Promise<void> {
  const { setFrozen } = await import('../fleet/freeze.ts');
  const key = await signingKeyOf(options);
  await withFleet(options, async (fleet) => setFrozen(fleet, key, frozen, options.message));
  process.stdout.write(
    frozen ? 'All changes are frozen. "trysail unfreeze" ends it.\n' : 'Changes can be published again.\n',
  );
}

export function registerFreezeCommand(program: Command): void {
  const command = program
    .command('freeze')
    .description("Stop all changes of the fleet's configuration.")
    .addOption(messageOption())
    .option('--status', 'Show whether changes are frozen.')
    .addHelpText(
      'after',
      `
Example:
  trysail freeze -m "until Monday" --key admin.key`,
    )
    .action(async (options: FreezeOptions) => {
      if (options.status !== true) return await set(options, true);
      const { freezeReport } = await import('../fleet/freeze.ts');
      const { frozen, by, at, message } = await withFleet(options, freezeReport);
      const why = message === undefined ? '' : `: ${printable(message)}`;
      process.stdout.write(frozen ? `Frozen by ${by} since ${at}${why}\n` : 'Not frozen.\n');
    });
  addKeyOption(addFleetOptions(command));
}

export function registerUnfreezeCommand(program: Command): void {
  const command = program
    .command('unfreeze')
    .description("Let changes of the fleet's configuration go on.")
    .addOption(messageOption())
    .addHelpText(
      'after',
      `
Example:
  trysail unfreeze --key admin.key`,
    )
    .action(async (options: FreezeOptions) => set(options, false));
  addKeyOption(addFleetOptions(command));
}
