/**
 * Whose name in Consul a published `Service` record may take: one of its own namespace. A record for another's name would
 * take that service away from its owner, together with the say about its ports and accounts.
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import { consulNameOf, DEFAULT_NAMESPACE, serviceOfConsulName } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { ServiceRecord } from './kinds/service-record.ts';

export interface RecordsThatCount {
  /** The same array where all do. */
  readonly records: readonly ServiceRecord[];
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * The published records that count: of namespace `shop` those of names that begin with `shop--`; names without a namespace
 * belong to `default`, and the root namespace may take those, too. Names with another namespace are refused by the kind.
 */
export function publishedRecords(
  records: readonly ServiceRecord[],
  { rootNamespace }: Pick<MeshConfig, 'rootNamespace'>,
): RecordsThatCount {
  const isOwn = ({ meta, consulName }: ServiceRecord): boolean =>
    meta.namespace === rootNamespace || serviceOfConsulName(consulName).namespace === meta.namespace;
  const foreign = records.filter((record) => !isOwn(record));
  if (foreign.length === 0) return { records, diagnostics: [] };
  return {
    records: records.filter(isOwn),
    diagnostics: foreign.map(({ meta, consulName }) => ({
      code: 'TRY0715',
      severity: 'error',
      object: describeObject(meta),
      path: 'spec.consulName',
      source: meta.source,
      message: `the Consul name "${consulName}" belongs to namespace ${DEFAULT_NAMESPACE}; a record that is published in ${meta.namespace} does not count for it`,
      remedy: `Register the service as "${consulNameOf({ namespace: meta.namespace, name: consulName })}" and leave consulName out, or publish the record in ${DEFAULT_NAMESPACE} or ${rootNamespace}.`,
    })),
  };
}
