/** `trysail render`: resource files → the configuration of one workload's Envoy, with nobody asked. */
import { type Command, Option } from 'commander';
import { TrysailError } from '../lib/errors.ts';
import {
  addFileOptions,
  addWorkloadOptions,
  type FileOptions,
  filesOf,
  type WorkloadOptions,
  workloadOf,
} from './configuration-options.ts';
import { exitCodeFor, tellDiagnostics } from './diagnostic-text.ts';
import { EXIT } from './exit-codes.ts';
import { alignColumns, printable, serialise } from './output.ts';
import { COLOUR_STYLE, PLAIN_STYLE } from './status-text.ts';

interface RenderOptions extends FileOptions, WorkloadOptions {
  readonly mode: 'loopback' | 'capture' | 'gateway';
  readonly type?: keyof typeof KINDS;
  readonly name?: string;
  readonly output: 'summary' | 'json' | 'yaml';
}

const KINDS = {
  lds: ['Listener'],
  rds: ['RouteConfiguration'],
  cds: ['Cluster'],
  eds: ['ClusterLoadAssignment'],
} as const;

const NOTHING = 'Nothing: the workload calls nobody and serves no port.\n';
const NOTHING_OF_TYPE = 'Nothing of this type.\n';

type Resources = ReturnType<typeof import('../analysis/resources-json.ts')['resourcesJson']>;

async function summaryText(resources: Resources, { type }: RenderOptions): Promise<string> {
  const { summaryTables } = await import('../analysis/summary.ts');
  // https://no-color.org
  const style = process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '' ? COLOUR_STYLE : PLAIN_STYLE;
  const tables = summaryTables(resources).map(({ heading, rows }) => {
    const [first = '', ...rest] = alignColumns([heading, ...rows.map((row) => row.map(printable))]);
    return [style.heading(first), ...rest].join('\n');
  });
  if (tables.length === 0) return type === undefined ? NOTHING : NOTHING_OF_TYPE;
  return `${tables.join('\n\n')}\n`;
}

/** Endpoints have the name of their cluster. */
function nameOf({ name, cluster_name: cluster }: Resources[number]): string {
  return [name, cluster].find((one) => typeof one === 'string') ?? '';
}

async function unknownName(name: string, all: Resources): Promise<TrysailError> {
  const { nearest } = await import('../lib/nearest.ts');
  const meant = nearest(name, all.map(nameOf));
  return new TrysailError('OPTIONS_INVALID', `nothing that Envoy is told has the name "${name}"`, {
    remedy: meant === undefined ? 'See the names without --name.' : `Did you mean "${meant}"?`,
  });
}

async function documents(resources: Resources): Promise<string> {
  const { stringify } = await import('yaml');
  return resources.map((resource) => stringify(resource, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n');
}

async function renderWorkload(options: RenderOptions): Promise<void> {
  const { readConfiguration, seenFrom } = await import('../analysis/configuration.ts');
  const { offlineHost } = await import('../analysis/offline-host.ts');
  const { render } = await import('../analysis/render.ts');
  const { resourcesJson } = await import('../analysis/resources-json.ts');
  const all = await readConfiguration(filesOf(options));
  const workload = await workloadOf(all, options);
  const configuration = seenFrom(all, workload.namespace);
  const rendered = render(configuration, offlineHost(configuration, workload, options.mode));
  const made = resourcesJson(rendered.resources, options.type === undefined ? undefined : KINDS[options.type]);
  const shown = made.filter((one) => options.name === undefined || nameOf(one) === options.name);
  if (options.name !== undefined && shown.length === 0) throw await unknownName(options.name, made);
  tellDiagnostics(rendered.diagnostics);
  process.stdout.write(
    options.output === 'summary'
      ? await summaryText(shown, options)
      : options.output === 'json'
        ? await serialise(shown, 'json')
        : await documents(shown),
  );
  process.exitCode = exitCodeFor(rendered.diagnostics);
}

export function registerRenderCommand(program: Command): void {
  const command = program
    .command('render')
    .description('Show what Envoy is told, from resource files alone.')
    .addOption(
      new Option('--mode <mode>', "How the workload's calls come to Envoy.")
        .choices(['loopback', 'capture', 'gateway'])
        .default('loopback'),
    )
    .addOption(
      new Option('--type <type>', 'These resources alone: listeners, routes, clusters, endpoints.').choices(
        Object.keys(KINDS),
      ),
    )
    .option('--name <name>', 'The resource of this name alone.')
    .addOption(
      new Option('-o, --output <format>', 'How to print the answer.')
        .choices(['summary', 'json', 'yaml'])
        .default('summary'),
    );
  addWorkloadOptions(addFileOptions(command))
    .addHelpText(
      'after',
      `
Asks neither Consul nor Envoy: services, endpoints and workloads are the ServiceEntries and WorkloadEntries of the
files. The same files give the same bytes. What is wrong goes to standard error; exits with ${EXIT.invalidConfiguration} where that is an error.

Examples:
  trysail render -f ./mesh --workload default/web-1
  trysail render -f ./mesh --workload default/web-1 --type rds -o yaml
  trysail render -f ./mesh --mesh meshconfig.yaml --labels app=web,version=v1 --address 10.0.0.5 --mode capture
  trysail render -f ./mesh --labels app=gateway --mode gateway
  trysail render -f ./mesh --workload default/web-1 -o json | jq '.[] | select(.name | startswith("outbound|"))'`,
    )
    .action(renderWorkload);
}
