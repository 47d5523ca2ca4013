/** What of this host's traffic is still plain text, and why: moving in has to be visible. */
import type { PlainText } from '../api/status.ts';
import type { Host, Workload } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import type { MtlsMode } from '../model/peer-authentication.ts';
import { mtlsMode } from '../translate/inbound/peer-authentication.ts';

/** Whether a policy says PERMISSIVE of the port, or it is so because none says anything. */
function isWritten(mesh: Mesh, workload: Workload, port: number): boolean {
  const other = (mode: MtlsMode | undefined): MtlsMode | undefined => (mode === 'PERMISSIVE' ? 'DISABLE' : mode);
  const marked = mesh.peerAuthentications.map((policy) => ({
    ...policy,
    mode: other(policy.mode),
    portModes: new Map([...policy.portModes].map(([of, mode]) => [of, other(mode) ?? mode])),
  }));
  return mtlsMode(marked, workload, port, mesh.config.rootNamespace) !== 'PERMISSIVE';
}

function inbound(host: Host, mesh: Mesh, hasIdentity: boolean): readonly PlainText[] {
  return host.workloads.flatMap((workload): PlainText[] => {
    if (workload.inbound === undefined) return [];
    const { port } = workload.inbound.listen;
    const what = `port ${port} of ${workload.namespace}/${workload.service}`;
    if (!hasIdentity) return [{ direction: 'inbound', what, why: 'this host has no identity provider' }];
    const mode = mtlsMode(mesh.peerAuthentications, workload, port, mesh.config.rootNamespace);
    if (mode === 'STRICT') return [];
    const isDefault = mode === 'PERMISSIVE' && !isWritten(mesh, workload, port);
    const why = isDefault ? 'PERMISSIVE by default' : `its PeerAuthentication says ${mode}`;
    return [{ direction: 'inbound', what, why }];
  });
}

function outbound(host: Host, mesh: Mesh): readonly PlainText[] {
  return host.upstreams.flatMap(({ serviceHost }): PlainText[] => {
    const service = mesh.services.get(serviceHost);
    if (service === undefined || service.tls === 'required') return [];
    const endpoints = mesh.endpoints.get(serviceHost) ?? [];
    if (service.tls === 'plain') {
      const why = service.external ? 'it lies outside of the mesh' : 'nothing says that it is meshed';
      return [{ direction: 'outbound', what: serviceHost, why }];
    }
    const plain = endpoints.filter(({ offersMtls }) => !offersMtls).length;
    if (plain === 0) return [];
    const what = `${serviceHost}: ${plain} of ${endpoints.length} endpoints`;
    return [{ direction: 'outbound', what, why: 'its Service record says migrating' }];
  });
}

/** Each service of this host that takes plain text, and each upstream that is called in plain text, with the reason. */
export function reportPlainText(host: Host, mesh: Mesh, hasIdentity: boolean): readonly PlainText[] {
  return [...inbound(host, mesh, hasIdentity), ...outbound(host, mesh)];
}
