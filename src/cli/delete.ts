/** `trysail delete`: takes resources out of the fleet's configuration. */
import type { Command } from 'commander';
import type { ResourceName } from '../fleet/fleet.ts';
import { TrysailError } from '../lib/errors.ts';
import { tellDiagnostics } from './diagnostic-text.ts';
import {
  addFleetOptions,
  addKeyOption,
  collect,
  type FleetOptions,
  type KeyOptions,
  messageOption,
  signingKeyOf,
} from './fleet-options.ts';
import { resourceNamed } from './kind-name.ts';
import { publishChange } from './publish-change.ts';
import { addStageOptions, type StageOptions } from './rollout-options.ts';

interface DeleteOptions extends FleetOptions, KeyOptions, StageOptions {
  readonly namespace: string;
  readonly file?: readonly string[];
  readonly message?: string;
}

async function namesOf(resources: readonly string[], options: DeleteOptions): Promise<readonly ResourceName[]> {
  const named = resources.map((text): ResourceName => {
    const { kind, name } = resourceNamed(text);
    if (name !== undefined && name !== '') return { kind, name, namespace: options.namespace };
    throw new TrysailError('FLEET_NO_SUCH_RESOURCE', `"${text}" names a kind and no resource.`, {
      remedy: 'Write kind/name, such as virtualservice/reviews.',
    });
  });
  const { file = [], namespace } = options;
  if (file.length === 0) return named;
  const { readManifestsIn } = await import('../fleet/manifest.ts');
  const { manifests, passedOver } = await readManifestsIn(file, namespace);
  tellDiagnostics(passedOver);
  return [...named, ...manifests];
}

export function registerDeleteCommand(program: Command): void {
  const command = program
    .command('delete')
    .description("Take resources out of the fleet's configuration.")
    .argument('[resources...]', 'Each as kind/name.')
    .option('-n, --namespace <name>', 'In this namespace.', 'default')
    .option('-f, --file <path>', 'The resources of a file or folder, "-" for standard input; may be repeated.', collect)
    .addOption(messageOption())
    .addHelpText(
      'after',
      `
Example:
  trysail delete virtualservice/reviews -n shop --key shop.key`,
    )
    .action(async (resources: readonly string[], options: DeleteOptions) => {
      const { deleteResources } = await import('../fleet/fleet.ts');
      const names = await namesOf(resources, options);
      if (names.length === 0)
        throw new TrysailError('FLEET_FILES', 'Nothing to delete was named.', {
          remedy: 'Write kind/name, or -f and a file.',
        });
      const key = await signingKeyOf(options);
      await publishChange(options, key, 'text', async (fleet, signed) => deleteResources(fleet, names, signed));
    });
  addKeyOption(addFleetOptions(addStageOptions(command)));
}
