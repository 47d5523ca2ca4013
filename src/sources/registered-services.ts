/** All services of Consul's catalogue and all records → services; those that did not change are taken over. */
import { changedKeys } from '../lib/changed-keys.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { serviceHosts, serviceOfConsulName } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { CatalogueState } from './catalogue-state.ts';
import type { ServiceRecord } from './kinds/service-record.ts';
import { buildRegisteredService, type RegisteredInputs, type RegisteredService } from './registered-service.ts';

export interface RecordIndex {
  readonly config: MeshConfig;
  readonly byConsulName: ReadonlyMap<string, ServiceRecord>;
  readonly byHost: ReadonlyMap<string, ServiceRecord>;
  readonly diagnostics: readonly Diagnostic[];
}

/** Records by the Consul name and the host that they speak of; of two with one Consul name the older holds. */
export function indexRecords(config: MeshConfig, records: readonly ServiceRecord[]): RecordIndex {
  const byConsulName = new Map<string, ServiceRecord>();
  const byHost = new Map<string, ServiceRecord>();
  const diagnostics: Diagnostic[] = [];
  for (const record of records) {
    const holder = byConsulName.get(record.consulName);
    if (holder === undefined) {
      byConsulName.set(record.consulName, record);
      byHost.set(serviceHosts(config, record.meta, record.consulName)[0], record);
      continue;
    }
    diagnostics.push({
      code: 'TRY0302',
      severity: 'error',
      object: describeObject(record.meta),
      source: record.meta.source,
      message: `the Consul name "${record.consulName}" is that of ${describeObject(holder.meta)} already, which is older`,
      remedy: 'Give the two different values of "consulName".',
    });
  }
  return { config, byConsulName, byHost, diagnostics };
}

/** Whether a rebuild would give the same. A service that is `required` was seen meshed, so that saying so changes nothing. */
function sameInputs(previous: RegisteredService, inputs: RegisteredInputs): boolean {
  const before = previous.inputs;
  return (
    before.config === inputs.config &&
    before.instances === inputs.instances &&
    before.record === inputs.record &&
    (before.knownMeshed === inputs.knownMeshed || (inputs.knownMeshed && previous.service.tls === 'required'))
  );
}

export interface RegisteredServices {
  /** By Consul name, in the order of the names. */
  readonly byConsulName: ReadonlyMap<string, RegisteredService>;
  /** The Consul names that the catalogue has. */
  readonly followed: ReadonlySet<string>;
  /** What they were made of. */
  readonly index: RecordIndex;
  readonly catalogue: CatalogueState['services'];
  readonly isKnownMeshed: (host: string) => boolean;
}

function build(
  consulName: string,
  {
    index: { config, byConsulName },
    catalogue,
    isKnownMeshed,
  }: Pick<RegisteredServices, 'index' | 'catalogue' | 'isKnownMeshed'>,
  before: RegisteredService | undefined,
): RegisteredService {
  const record = byConsulName.get(consulName);
  const host =
    before !== undefined && before.inputs.config === config && before.inputs.record === record
      ? before.service.host
      : serviceHosts(config, record?.meta ?? serviceOfConsulName(consulName), consulName)[0];
  const instances = catalogue.get(consulName);
  const inputs: RegisteredInputs = { config, consulName, instances, record, knownMeshed: isKnownMeshed(host) };
  return before !== undefined && sameInputs(before, inputs) ? before : buildRegisteredService(inputs, before);
}

/** @param isKnownMeshed asked by canonical host; the same function gives the same answers */
export function buildRegisteredServices(
  index: RecordIndex,
  catalogue: CatalogueState['services'],
  isKnownMeshed: (host: string) => boolean,
  previous: RegisteredServices | undefined,
): RegisteredServices {
  const of = { index, catalogue, isKnownMeshed };
  const before = previous?.byConsulName ?? new Map<string, RegisteredService>();
  const others = previous === undefined ? undefined : changedKeys(previous.catalogue, catalogue);
  const changed = previous?.index === index && previous.isKnownMeshed === isKnownMeshed ? others : undefined;
  const names = changed ?? [...new Set([...catalogue.keys(), ...index.byConsulName.keys()])].sort();
  const byConsulName = new Map(changed === undefined ? [] : before);
  for (const name of names) byConsulName.set(name, build(name, of, before.get(name)));
  const followed = previous === undefined || others === undefined ? new Set(catalogue.keys()) : previous.followed;
  return { ...of, byConsulName, followed };
}
