/** What is in plain text on this host and what is not, for `status`. */
import type { Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import type { MtlsMode } from '../model/peer-authentication.ts';
import { type ClusterSecurity, clusterSecurity } from './cluster-security.ts';
import { mtlsMode } from './peer-authentication.ts';

export interface SecurityReport {
  readonly upstreams: readonly { readonly serviceHost: string; readonly security: ClusterSecurity }[];
  readonly workloads: readonly { readonly serviceHost: string; readonly port: number; readonly mode: MtlsMode }[];
}

/** Upstreams of services that are not known are left out. */
export function securityReport(mesh: Mesh, host: Host): SecurityReport {
  const { config, peerAuthentications } = mesh;
  return {
    upstreams: host.upstreams.flatMap(({ serviceHost }) => {
      const service = mesh.services.get(serviceHost);
      if (service === undefined) return [];
      const security = clusterSecurity(service.tls, service.identities, host.callerIdentity, config);
      return [{ serviceHost, security }];
    }),
    workloads: host.workloads.flatMap((workload) => {
      if (workload.inbound === undefined) return [];
      const { port } = workload.inbound.listen;
      const mode = mtlsMode(peerAuthentications, workload, port, config.rootNamespace);
      return [{ serviceHost: workload.serviceHost, port, mode }];
    }),
  };
}
