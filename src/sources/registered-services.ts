/** All services of Consul's catalogue and all records → services; those that did not change are taken over. */
import type { Diagnostic } from '../model/diagnostic.ts';
import { serviceHosts, serviceOfConsulName } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { CatalogueState } from './catalogue-state.ts';
import type { ServiceRecord } from './kinds/service-record.ts';
import { buildRegisteredService, type RegisteredInputs, type RegisteredService } from './registered-service.ts';

export interface RecordIndex {
  readonly records: readonly ServiceRecord[];
  readonly config: MeshConfig;
  readonly byConsulName: ReadonlyMap<string, ServiceRecord>;
  readonly byHost: ReadonlyMap<string, ServiceRecord>;
  readonly diagnostics: readonly Diagnostic[];
}

/** Records by the Consul name and the host that they speak of; of two with one Consul name the older holds. */
export function indexRecords(
  config: MeshConfig,
  records: readonly ServiceRecord[],
  previous: RecordIndex | undefined,
): RecordIndex {
  if (previous?.records === records && previous.config === config) return previous;
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
  return { records, config, byConsulName, byHost, diagnostics };
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

/** By Consul name, in the order of the names. `isKnownMeshed` is asked by canonical host. */
export function buildRegisteredServices(
  index: RecordIndex,
  catalogue: CatalogueState,
  isKnownMeshed: (host: string) => boolean,
  previous: ReadonlyMap<string, RegisteredService> | undefined,
): ReadonlyMap<string, RegisteredService> {
  const { config, byConsulName } = index;
  const names = [...new Set([...catalogue.services.keys(), ...byConsulName.keys()])].sort();
  return new Map(
    names.map((consulName) => {
      const before = previous?.get(consulName);
      const record = byConsulName.get(consulName);
      const host =
        before !== undefined && before.inputs.config === config && before.inputs.record === record
          ? before.service.host
          : serviceHosts(config, record?.meta ?? serviceOfConsulName(consulName), consulName)[0];
      const inputs: RegisteredInputs = {
        config,
        consulName,
        instances: catalogue.services.get(consulName),
        record,
        knownMeshed: isKnownMeshed(host),
      };
      const unchanged = before !== undefined && sameInputs(before, inputs);
      return [consulName, unchanged ? before : buildRegisteredService(inputs, before)] as const;
    }),
  );
}
