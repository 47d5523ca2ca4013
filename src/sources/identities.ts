/** The SPIFFE ids that clients expect of a service. */
import type { MeshConfig } from '../model/mesh-config.ts';
import { parseWorkloadSpiffeId, type SpiffeId, workloadSpiffeId } from '../model/spiffe-id.ts';

export interface Account {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** The ids of some accounts in the mesh's trust domain and its aliases; accounts that make no valid id are left out. */
export function identitiesOf(
  config: Pick<MeshConfig, 'trustDomain' | 'trustDomainAliases'>,
  accounts: readonly Account[],
): readonly SpiffeId[] {
  const domains = [config.trustDomain, ...config.trustDomainAliases];
  const ids = accounts.flatMap((account) =>
    domains.flatMap((trustDomain) => workloadSpiffeId({ ...account, trustDomain }) ?? []),
  );
  return [...new Set(ids)].sort();
}

/** Those of some names that are ids of workloads. */
export function workloadIdsAmong(names: readonly string[]): readonly SpiffeId[] {
  const ids = names.filter((name): name is SpiffeId => parseWorkloadSpiffeId(name) !== undefined);
  return [...new Set(ids)].sort();
}
