/** `trysail get`: what is published. */
import { type Command, Option } from 'commander';
import type { PublishedResource } from '../fleet/fleet.ts';
import { TrysailError } from '../lib/errors.ts';
import { addFleetOptions, type FleetOptions, withFleet } from './fleet-options.ts';
import { kindNamed, resourceNamed } from './kind-name.ts';
import { alignColumns, type OutputFormat, printable, printableLines, serialise } from './output.ts';

interface GetOptions extends FleetOptions {
  readonly namespace: string;
  readonly allNamespaces?: boolean;
  readonly output: OutputFormat;
}

function table(resources: readonly PublishedResource[]): string {
  const rows = resources.map((one) => [
    one.namespace,
    one.kind,
    one.name,
    String(one.revision),
    one.createdAt,
    printable(one.publisher),
  ]);
  const heading = ['NAMESPACE', 'KIND', 'NAME', 'REVISION', 'CREATED', 'PUBLISHER'];
  return `${alignColumns([heading, ...rows]).join('\n')}\n`;
}

async function print(resources: readonly PublishedResource[], format: OutputFormat): Promise<void> {
  if (format === 'text') process.stdout.write(table(resources));
  // As it was written, with comments: what comes out can be applied again.
  else if (format === 'yaml') process.stdout.write(printableLines(resources.map(({ text }) => text).join('---\n')));
  else {
    const { parse } = await import('yaml');
    const values = resources.map(({ text, ...rest }): object => ({ ...rest, resource: parse(text) as unknown }));
    process.stdout.write(await serialise(values, format));
  }
}

export function registerGetCommand(program: Command): void {
  const command = program
    .command('get')
    .description("Show what is published in the fleet's configuration.")
    .argument('[resource]', 'A kind, or kind/name; absent: everything.')
    .option('-n, --namespace <name>', 'In this namespace.', 'default')
    .option('-A, --all-namespaces', 'In all namespaces.')
    .addOption(
      new Option('-o, --output <format>', 'A table, or the resources themselves.')
        .choices(['text', 'json', 'yaml'])
        .default('text'),
    )
    .addHelpText(
      'after',
      `
Examples:
  trysail get -A
  trysail get virtualservice/reviews -n shop -o yaml`,
    )
    .action(async (resource: string | undefined, options: GetOptions) => {
      const { publishedResources } = await import('../fleet/fleet.ts');
      const wanted = resource === undefined ? undefined : resourceNamed(resource);
      const namespaces = options.allNamespaces === true ? undefined : [options.namespace];
      const all = await withFleet(options, async (fleet) => publishedResources(fleet, namespaces));
      const found = all.filter(
        ({ kind, name }) =>
          wanted === undefined || (kind === wanted.kind && (wanted.name === undefined || name === wanted.name)),
      );
      if (found.length === 0 && wanted?.name !== undefined)
        throw new TrysailError(
          'FLEET_NO_SUCH_RESOURCE',
          `There is no ${kindNamed(wanted.kind)} ${wanted.name} in ${namespaces?.[0] ?? 'any namespace'}.`,
          { remedy: 'List what there is with "trysail get -A".' },
        );
      if (found.length === 0 && options.output === 'text') process.stdout.write('Nothing is published there.\n');
      else await print(found, options.output);
    });
  addFleetOptions(command);
}
