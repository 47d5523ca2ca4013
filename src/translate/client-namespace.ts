/** In whose name this host calls: the namespace by which rules are chosen. */
import type { Host } from '../model/host.ts';
import { DEFAULT_NAMESPACE } from '../model/host-names.ts';
import { parseWorkloadSpiffeId } from '../model/spiffe-id.ts';

/** That of the caller's identity; without one that of the first workload, or `default`. */
export function clientNamespace(host: Host): string {
  const identity = host.callerIdentity === undefined ? undefined : parseWorkloadSpiffeId(host.callerIdentity);
  return identity?.namespace ?? host.workloads[0]?.namespace ?? DEFAULT_NAMESPACE;
}
