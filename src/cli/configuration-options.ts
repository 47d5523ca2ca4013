/** The options of commands that work on resource files: which files, and for which workload. */
import { isIP } from 'node:net';
import { type Command, Option } from 'commander';
import type { Configuration } from '../analysis/configuration.ts';
import type { DescribedWorkload } from '../analysis/described-workload.ts';
import { TrysailError } from '../lib/errors.ts';
import { DEFAULT_NAMESPACE } from '../model/host-names.ts';

export interface FileOptions {
  readonly file?: readonly string[];
  readonly mesh?: string;
}

export interface WorkloadOptions {
  readonly workload?: string;
  readonly namespace?: string;
  readonly labels?: string;
  readonly serviceAccount?: string;
  readonly address?: string;
  readonly locality?: string;
}

const collect = (value: string, previous: readonly string[] | undefined): readonly string[] => [
  ...(previous ?? []),
  value,
];

/** `-f` and `--mesh`. */
export function addFileOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '-f, --file <path>',
        'A file or folder of resources, "-" for standard input; may be repeated.',
      ).argParser(collect),
    )
    .option('--mesh <file>', 'The mesh configuration (meshconfig.yaml); its defaults without it.');
}

/** The options that name or describe a workload. */
export function addWorkloadOptions(command: Command): Command {
  const heading = 'A workload that is not in the files:';
  return command
    .option('--workload <namespace/name>', 'A WorkloadEntry, or a service for its first endpoint.')
    .addOption(new Option('-n, --namespace <name>', 'Its namespace (default: default).').helpGroup(heading))
    .addOption(new Option('--labels <key=value,…>', 'Its labels.').helpGroup(heading))
    .addOption(
      new Option('--service-account <name>', 'Whose certificate it has (default: that of its service).').helpGroup(
        heading,
      ),
    )
    .addOption(new Option('--address <ip>', 'Where others reach it.').helpGroup(heading))
    .addOption(new Option('--locality <region/zone/subzone>', 'Where it runs.').helpGroup(heading));
}

function usage(message: string, remedy: string): TrysailError {
  return new TrysailError('OPTIONS_INVALID', message, { remedy });
}

/** @throws TrysailError `OPTIONS_INVALID` where no file is named */
export function filesOf({ file = [], mesh }: FileOptions): {
  paths: readonly string[];
  meshConfig: string | undefined;
} {
  if (file.length === 0) throw usage('no files are named', 'Name files or folders: -f ./mesh, or "-f -" for a pipe.');
  return { paths: file, meshConfig: mesh };
}

function labelsOf(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text
      .split(',')
      .filter((pair) => pair !== '')
      .map((pair) => {
        const split = pair.indexOf('=');
        if (split < 1) throw usage(`"${pair}" is not a label`, 'Write --labels app=web,version=v1.');
        return [pair.slice(0, split).trim(), pair.slice(split + 1).trim()];
      }),
  );
}

/** Whether options name or describe a workload. */
export function isDescribed({ workload, namespace, labels, serviceAccount, address }: WorkloadOptions): boolean {
  return [workload, namespace, labels, serviceAccount, address].some((option) => option !== undefined);
}

/**
 * The workload that the options name or describe. What is described wins over what the files say.
 * @throws TrysailError `OPTIONS_INVALID`, `WORKLOAD_UNKNOWN`
 */
export async function workloadOf(configuration: Configuration, options: WorkloadOptions): Promise<DescribedWorkload> {
  const { workload, namespace, labels, serviceAccount, address, locality } = options;
  const { findWorkload, NO_LOCALITY } = await import('../analysis/described-workload.ts');
  if (!isDescribed(options))
    throw usage(
      'no workload is named',
      'Name one by --workload <namespace>/<name>, or describe it: --labels app=web --address 10.0.0.5.',
    );
  const base: DescribedWorkload =
    workload === undefined
      ? {
          namespace: DEFAULT_NAMESPACE,
          name: undefined,
          labels: {},
          serviceAccount: undefined,
          address: undefined,
          locality: NO_LOCALITY,
        }
      : findWorkload(configuration, workload);
  if (address !== undefined && isIP(address) === 0)
    throw usage(`"${address}" is not an IP address`, 'Write --address 10.0.0.5.');
  const [region = '', zone = '', subzone = '', ...more] = locality?.split('/') ?? [];
  if (more.length > 0 || (locality !== undefined && region === ''))
    throw usage(
      `"${locality ?? ''}" is not a locality`,
      'Write --locality europe/berlin/rack-1; its end may be missing.',
    );
  return {
    ...base,
    ...(namespace !== undefined && { namespace }),
    ...(labels !== undefined && { labels: labelsOf(labels) }),
    ...(serviceAccount !== undefined && { serviceAccount }),
    ...(address !== undefined && { address }),
    ...(locality !== undefined && { locality: { region, zone, subzone } }),
  };
}
