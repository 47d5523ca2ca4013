/** A host of a ServiceEntry → the model. Configuration says here who serves it, so its word on TLS is believed. */
import type { Diagnostic } from '../model/diagnostic.ts';
import { canonicalHost, type ServiceName, serviceHosts, serviceOfHost } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { Endpoint, Service } from '../model/service.ts';
import type { SpiffeId } from '../model/spiffe-id.ts';
import { isIpAddress, isSocketAddress } from './field-types.ts';
import { type Account, identitiesOf, workloadIdsAmong } from './identities.ts';
import type { ServiceEntry } from './kinds/service-entry.ts';
import type { ServiceRecord } from './kinds/service-record.ts';
import type { ConfiguredWorkload, WorkloadEntry } from './kinds/workload-entry.ts';

export interface EntryInputs {
  readonly config: MeshConfig;
  readonly entry: ServiceEntry;
  /** As the entry writes it. */
  readonly writtenHost: string;
  /** The WorkloadEntries that its selector chooses, in a stable order. */
  readonly selected: readonly WorkloadEntry[];
  /** The record of the service whose name the host is, if there is one. */
  readonly record: ServiceRecord | undefined;
}

export interface EntryService {
  readonly inputs: EntryInputs;
  /** Undefined: the entry may not claim this host. */
  readonly service: Service | undefined;
  readonly endpoints: readonly Endpoint[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Names that a wildcard covers, of every form that a template of the mesh may have. */
function covered(wildcard: string): readonly string[] {
  return ['x', 'x.x', 'x--x'].map((labels) => `${labels}${wildcard.slice(1)}`);
}

/**
 * The canonical host that an entry claims, and whether it may. A host of the mesh's templates belongs to a namespace;
 * whoever may write into another one must not answer for it, nor for a wildcard that covers it.
 */
export function claimOf(
  config: MeshConfig,
  entry: ServiceEntry,
  writtenHost: string,
): {
  readonly host: string;
  readonly named: ServiceName | undefined /** The namespace that it belongs to, if that is another. */;
  readonly owner: string | undefined;
} {
  const { namespace } = entry.meta;
  const host = canonicalHost(config, writtenHost, namespace);
  const named = serviceOfHost(config, host);
  const names = host.startsWith('*') ? covered(host) : [host];
  const owners = names.flatMap((name) => serviceOfHost(config, name)?.namespace ?? []);
  const others = namespace === config.rootNamespace ? [] : owners.filter((owner) => owner !== namespace);
  return {
    host,
    named,
    owner: others.length === 0 ? undefined : new Set(owners).size > 1 ? config.rootNamespace : others[0],
  };
}

const NOWHERE = { region: '', zone: '', subzone: '' };

interface NamedWorkload extends ConfiguredWorkload {
  readonly id: string;
}

function workloadsOf({ entry, selected, writtenHost }: EntryInputs): readonly NamedWorkload[] {
  if (entry.workloadSelector !== undefined)
    return selected.map(({ meta, workload }) => ({ ...workload, id: `${meta.namespace}/${meta.name}` }));
  if (entry.endpoints.length > 0)
    // An address and its position: two ports of one machine are two endpoints.
    return entry.endpoints.map((workload, i) => ({ ...workload, id: `${workload.address}#${i}` }));
  if (entry.resolution !== 'STRICT_DNS' && entry.resolution !== 'LOGICAL_DNS') return [];
  const itself = { address: writtenHost, ports: {}, labels: {}, locality: NOWHERE, weight: 1, network: undefined };
  return [{ ...itself, serviceAccount: undefined, offersMtls: false, id: writtenHost }];
}

function tlsOf({ config, entry, record }: EntryInputs, workloads: readonly NamedWorkload[]): Service['tls'] {
  if (entry.external) return 'plain';
  if (record?.tls !== undefined) return record.tls;
  // Of what only the caller knows nobody has said that it takes mutual TLS.
  if (!config.enableAutoMtls || entry.resolution === 'ORIGINAL_DST' || entry.resolution === 'DYNAMIC_DNS')
    return 'plain';
  const meshed = workloads.filter(({ offersMtls }) => offersMtls).length;
  if (workloads.length === 0) return entry.subjectAltNames.length > 0 ? 'required' : 'plain';
  return meshed === 0 ? 'plain' : meshed === workloads.length ? 'required' : 'migrating';
}

function expectedIdentities(
  inputs: EntryInputs,
  workloads: readonly NamedWorkload[],
  convention: Account | undefined,
): readonly SpiffeId[] {
  const { config, entry, record } = inputs;
  if (entry.subjectAltNames.length > 0) return workloadIdsAmong(entry.subjectAltNames);
  if (record !== undefined) return identitiesOf(config, record.accounts);
  const accounts = workloads.flatMap(({ serviceAccount }) =>
    serviceAccount === undefined ? [] : [{ namespace: entry.meta.namespace, serviceAccount }],
  );
  if (accounts.length > 0) return identitiesOf(config, accounts);
  return convention === undefined ? [] : identitiesOf(config, [convention]);
}

function endpointOf(workload: NamedWorkload, entry: ServiceEntry): Endpoint {
  const { id, address, locality, labels, weight, offersMtls, network } = workload;
  const ports = Object.fromEntries(
    entry.ports.map(({ name, number, targetPort }) => [number, workload.ports[name] ?? targetPort]),
  );
  const endpoint = { id, address, ports, health: 'HEALTHY', weight, locality, labels, offersMtls } as const;
  return network === undefined ? endpoint : { ...endpoint, network };
}

/** Where clients are to see it: as the entry says, else as the mesh's default; undefined: everywhere. */
function exportedTo({ entry, config }: EntryInputs): readonly string[] | undefined {
  const written = entry.exportTo.length > 0 ? entry.exportTo : (config.defaultServiceExportTo ?? []);
  if (written.length === 0 || written.includes('*')) return undefined;
  return [...new Set(written.map((to) => (to === '.' ? entry.meta.namespace : to)))].sort();
}

function portsOf({ entry: { ports, resolution } }: EntryInputs): Service['ports'] {
  return ports.map(({ number, name, protocol, targetPort }) => ({
    number,
    name,
    protocol,
    ...(resolution === 'ORIGINAL_DST' && targetPort !== number && { targetPort }),
  }));
}

/** The model's form of one host of an entry. Pure. */
export function buildEntryService(inputs: EntryInputs): EntryService {
  const { config, entry, writtenHost } = inputs;
  const { namespace } = entry.meta;
  const diagnostics: Diagnostic[] = [];
  const warn = (code: string, message: string, remedy: string): void => {
    diagnostics.push({
      code,
      severity: 'warning',
      object: describeObject(entry.meta),
      source: entry.meta.source,
      message,
      remedy,
    });
  };

  const { host, named, owner } = claimOf(config, entry, writtenHost);
  if (owner !== undefined) {
    warn('TRY0302', `the host ${writtenHost} belongs to namespace ${owner}`, `Set metadata.namespace to ${owner}.`);
    return { inputs, service: undefined, endpoints: [], diagnostics };
  }
  const aliases = named === undefined ? [] : serviceHosts(config, named).slice(1);
  const workloads = workloadsOf(inputs);
  const tls = tlsOf(inputs, workloads);
  const convention = named === undefined ? undefined : { namespace, serviceAccount: named.name };
  const identities = tls === 'plain' ? [] : expectedIdentities(inputs, workloads, convention);
  if (tls !== 'plain' && identities.length === 0)
    warn(
      'TRY0305',
      `nothing says which identity may serve ${host}; none of its endpoints is used over TLS`,
      'Add "serviceAccount" to its endpoints, or SPIFFE ids as "subjectAltNames".',
    );

  const endpoints: Endpoint[] = [];
  const plain: string[] = [];
  const names: string[] = [];
  for (const workload of workloads) {
    if (entry.resolution === 'EDS' && !isIpAddress(workload.address) && !isSocketAddress(workload.address))
      names.push(workload.id);
    else if (tls === 'required' && !workload.offersMtls) plain.push(workload.id);
    else if (tls === 'plain' || !workload.offersMtls || identities.length > 0)
      endpoints.push(endpointOf(workload, entry));
  }
  if (names.length > 0)
    warn(
      'TRY0304',
      `these workloads have no IP address: ${names.join(', ')}`,
      'Use resolution: DNS in the ServiceEntry.',
    );
  if (plain.length > 0)
    warn(
      'TRY0303',
      `without mutual TLS, which the service requires: ${plain.join(', ')}`,
      'Give them a serviceAccount, or write "tls: migrating" into the Service record.',
    );
  const exportTo = exportedTo(inputs);
  return {
    inputs,
    service: {
      host,
      namespace: named?.namespace ?? namespace,
      name: named?.name ?? writtenHost,
      consulName: undefined,
      aliases,
      ports: portsOf(inputs),
      tls,
      identities: tls === 'plain' ? [] : identities,
      resolution: entry.resolution,
      external: entry.external,
      ...(entry.addresses.length > 0 && { addresses: entry.addresses }),
      ...(entry.subjectAltNames.length > 0 && { subjectAltNames: entry.subjectAltNames }),
      ...(exportTo !== undefined && { exportTo }),
    },
    endpoints: endpoints.sort((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id))),
    diagnostics,
  };
}
