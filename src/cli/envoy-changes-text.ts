/** What a change of the fleet's configuration changes in Envoys, as text and as data. */
import type { ChangedWorkload, EnvoyChange, EnvoyChanges } from '../analysis/envoy-changes.ts';
import type { OpenFleet, Proposal } from '../fleet/fleet.ts';
import { errorMessage } from '../lib/errors.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import { lineDiff } from './line-diff.ts';
import { printable } from './output.ts';

/** Services of Consul that are looked at. */
const MAX_SERVICES = 2000;
/** Changed resources that one line names. */
const NAMED = 6;
const LEFT_NAMED = 5;
const HOSTS_NAMED = 10;

/** What is rendered unless somebody says otherwise. */
export const DEFAULT_WORKLOADS = 20;

export interface EnvoyChangesOptions {
  readonly config: MeshConfig | undefined;
  readonly maxWorkloads: number;
}

/** The same of a fleet, some of whose hosts nobody knows. */
export interface FleetEnvoyChanges extends EnvoyChanges {
  /** Hosts that follow what changes, have registered nothing and say of no gateway: they may only call. */
  readonly unknownHosts?: readonly string[];
}

/** What the proposal would change in Envoys; services of Consul are left out, with a word, where they cannot be read. */
export async function envoyChangesOf(
  fleet: OpenFleet,
  { changes, files }: Pick<Proposal, 'changes' | 'files'>,
  { config = DEFAULT_MESH_CONFIG, maxWorkloads }: EnvoyChangesOptions,
): Promise<FleetEnvoyChanges> {
  const touched = new Set(changes.filter(({ action }) => action !== 'unchanged').map(({ namespace }) => namespace));
  if (touched.size === 0) return { workloads: [], unchanged: 0, left: [] };
  const { fleetCatalogue } = await import('../fleet/fleet.ts');
  const { envoyChanges } = await import('../analysis/envoy-changes.ts');
  const { unregisteredHosts } = await import('../fleet/unregistered-hosts.ts');
  const read = await fleetCatalogue(fleet, MAX_SERVICES).catch((error: unknown) => {
    process.stderr.write(`Services of Consul are left out of what follows: ${printable(errorMessage(error))}\n`);
    return undefined;
  });
  if (read !== undefined && read.left > 0)
    process.stderr.write(
      `${read.left} services of Consul are left out of what follows: only ${MAX_SERVICES} are read.\n`,
    );
  const others =
    read === undefined
      ? []
      : await unregisteredHosts(fleet.store.kv, read.catalogue, [...touched]).catch((error: unknown) => {
          process.stderr.write(`Hosts that have registered nothing are left out: ${printable(errorMessage(error))}\n`);
          return [];
        });
  const gateways = others.flatMap((one) => one.gateways);
  return {
    ...envoyChanges({ ...files, config, catalogue: read?.catalogue, gateways, maxWorkloads }, touched),
    unknownHosts: others.flatMap((one) => (one.gateways.length === 0 ? [one.host] : [])),
  };
}

const isSame = (a: ChangedWorkload, b: ChangedWorkload): boolean => a.name === b.name && a.namespace === b.namespace;

/** The labels by which a workload differs from others of its name, such as those of another version. */
function differingLabels(workload: ChangedWorkload, all: readonly ChangedWorkload[]): string {
  const others = all.filter((other) => isSame(other, workload));
  return Object.entries(workload.labels)
    .filter(([key, value]) => others.some(({ labels }) => labels[key] !== value))
    .map(([key, value]) => `${printable(key)}=${printable(value)}, `)
    .join('');
}

function titleOf(workload: ChangedWorkload, all: readonly ChangedWorkload[]): string {
  const { namespace, name, hosts, mode } = workload;
  const role = mode === 'gateway' ? 'gateway, ' : '';
  const labels = differingLabels(workload, all);
  return `${printable(name)}.${namespace} (${role}${labels}${hosts} host${hosts === 1 ? '' : 's'})`;
}

const wordsOf = ({ type, name, change }: EnvoyChange): string => `${type} ${printable(name)} ${change}`;

async function fullLines({ type, name, change, before, after }: EnvoyChange): Promise<readonly string[]> {
  const { stringify } = await import('yaml');
  const text = (value: object | undefined): string | undefined =>
    value === undefined ? undefined : stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
  return [
    `  ${wordsOf({ type, name, change, before, after })}`,
    ...lineDiff(text(before), text(after)).map((line) => `    ${line}`),
  ];
}

/** One line a kind of workload; with `full` each changed resource as the difference of its YAML. */
export async function envoyChangeLines(
  { workloads, unchanged, left, unknownHosts = [] }: FleetEnvoyChanges,
  full: boolean,
): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const workload of workloads) {
    const { changes } = workload;
    if (full) {
      lines.push(`${titleOf(workload, workloads)}:`);
      for (const change of changes) lines.push(...(await fullLines(change)));
    } else {
      const named = changes.slice(0, NAMED).map(wordsOf);
      const more = changes.length - named.length;
      lines.push(`${titleOf(workload, workloads)}: ${named.join(', ')}${more > 0 ? `, and ${more} more` : ''}`);
    }
  }
  const rest = [
    ...(workloads.length === 0 ? ['No Envoy that is known would change.'] : []),
    ...(unchanged > 0 ? [`Unchanged: ${unchanged} more kind${unchanged === 1 ? '' : 's'} of workloads.`] : []),
    ...(left.length > 0
      ? [
          `Not looked at: ${left
            .slice(0, LEFT_NAMED)
            .map(({ workload, why }) => `${printable(workload)} (${printable(why)})`)
            .join(', ')}${left.length > LEFT_NAMED ? `, and ${left.length - LEFT_NAMED} more` : ''}.`,
        ]
      : []),
    ...(unknownHosts.length > 0
      ? [
          `Not shown, as they have registered nothing: ${unknownHosts.slice(0, HOSTS_NAMED).map(printable).join(', ')}${
            unknownHosts.length > HOSTS_NAMED ? ` and ${unknownHosts.length - HOSTS_NAMED} more hosts` : ''
          }.`,
        ]
      : []),
  ];
  return ['Envoy:', ...[...lines, ...rest].map((line) => `  ${line}`)];
}

/** For `-o json`; with `full` each resource before and after. */
export function envoyChangeData(
  { workloads, unchanged, left, unknownHosts = [] }: FleetEnvoyChanges,
  full: boolean,
): object {
  return {
    workloads: workloads.map(({ changes, ...workload }) => ({
      ...workload,
      changes: changes.map(({ type, name, change, before, after }) => ({
        type,
        name,
        change,
        ...(full ? { before, after } : {}),
      })),
    })),
    unchanged,
    notRendered: left,
    unknownHosts,
  };
}
