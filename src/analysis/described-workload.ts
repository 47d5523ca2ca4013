/** The workload that a question is about: one that the configuration holds, or one that somebody describes. */
import { TrysailError } from '../lib/errors.ts';
import { nearest } from '../lib/nearest.ts';
import { DEFAULT_NAMESPACE } from '../model/host-names.ts';
import type { Endpoint, Locality, Service } from '../model/service.ts';
import type { Configuration } from './configuration.ts';

export interface DescribedWorkload {
  readonly namespace: string;
  /** Undefined: it has none, and nobody calls it by one. */
  readonly name: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined: that of the service which it serves. */
  readonly serviceAccount: string | undefined;
  /** Where others reach it; undefined: it only calls. */
  readonly address: string | undefined;
  readonly locality: Locality;
}

export const NO_LOCALITY: Locality = { region: '', zone: '', subzone: '' };

function ofEndpoint(service: Service, endpoint: Endpoint): DescribedWorkload {
  const { address, labels, locality } = endpoint;
  return { namespace: service.namespace, name: service.name, labels, serviceAccount: undefined, address, locality };
}

function unknownWorkload(written: string, known: readonly string[]): TrysailError {
  const similar = nearest(written, known);
  const some = known.slice(0, 8).join(', ');
  return new TrysailError('WORKLOAD_UNKNOWN', `there is no workload ${written} in these files`, {
    remedy:
      similar !== undefined
        ? `Did you mean "${similar}"?`
        : known.length === 0
          ? 'Describe it: --namespace, --labels, --service-account, --address.'
          : `Name one of: ${some}${known.length > 8 ? ', …' : ''}; or describe it by --labels and --address.`,
  });
}

/**
 * The workload that `written` names: `<namespace>/<name>` of a WorkloadEntry, else `<namespace>/<service>` for the first
 * endpoint of a service, or `<namespace>/<service>/<address>` for that one. Without a namespace it is `default`.
 * @throws TrysailError `WORKLOAD_UNKNOWN`
 */
export function findWorkload({ mesh, resources }: Configuration, written: string): DescribedWorkload {
  const parts = written.split('/');
  const [namespace = '', name = '', address] = parts.length === 1 ? [DEFAULT_NAMESPACE, ...parts] : parts;
  const entry = resources.workloadEntries.find(({ meta }) => meta.namespace === namespace && meta.name === name);
  if (entry !== undefined && address === undefined) {
    const { labels, serviceAccount, locality } = entry.workload;
    return { namespace, name, labels, serviceAccount, address: entry.workload.address, locality };
  }
  for (const service of mesh.services.values()) {
    if (service.namespace !== namespace || (service.name !== name && service.host !== name)) continue;
    const endpoints = mesh.endpoints.get(service.host) ?? [];
    const found = address === undefined ? endpoints[0] : endpoints.find((one) => one.address === address);
    if (found !== undefined) return ofEndpoint(service, found);
  }
  const inMesh = [...mesh.services.values()].filter(
    ({ external, host }) => !external && mesh.endpoints.get(host)?.length,
  );
  throw unknownWorkload(written, [
    ...resources.workloadEntries.map(({ meta }) => `${meta.namespace}/${meta.name}`),
    ...inMesh.map((service) => `${service.namespace}/${service.name}`),
  ]);
}
