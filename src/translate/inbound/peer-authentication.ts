/** What an inbound port demands of its callers. */
import type { Workload } from '../../model/host.ts';
import { hasLabels } from '../../model/labels.ts';
import type { MtlsMode, PeerAuthentication } from '../../model/peer-authentication.ts';

function oldest(
  policies: readonly PeerAuthentication[],
  fits: (policy: PeerAuthentication) => boolean,
): PeerAuthentication | undefined {
  return policies.find(fits);
}

/**
 * The workload's policy before its namespace's before the mesh's (in the root namespace) before PERMISSIVE; the oldest
 * at each level; a mode that is not set is inherited. A selector in the root namespace has no meaning for the mesh.
 * @param policies oldest first
 * @param port the port that peers dial
 */
export function mtlsMode(
  policies: readonly PeerAuthentication[],
  workload: Pick<Workload, 'namespace' | 'labels'>,
  port: number,
  rootNamespace: string,
): MtlsMode {
  const own = oldest(
    policies,
    ({ meta, selector }) =>
      meta.namespace === workload.namespace && selector !== undefined && hasLabels(workload.labels, selector),
  );
  const ofNamespace = oldest(
    policies,
    ({ meta, selector }) => meta.namespace === workload.namespace && selector === undefined,
  );
  const ofMesh = oldest(policies, ({ meta, selector }) => meta.namespace === rootNamespace && selector === undefined);
  return own?.portModes.get(port) ?? own?.mode ?? ofNamespace?.mode ?? ofMesh?.mode ?? 'PERMISSIVE';
}
