/** What a Sidecar says of a workload's own side and cannot have. */
import type { Diagnostic } from '../../model/diagnostic.ts';
import type { Host, Workload } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import { describeObject } from '../../model/resource-meta.ts';
import { serverFiles } from '../gateway/server-files.ts';
import { sidecarOf } from '../view/scope.ts';
import { isProxied } from './inbound-ports.ts';
import { mtlsMode } from './peer-authentication.ts';

function ofWorkload(mesh: Mesh, host: Host, workload: Workload): readonly Diagnostic[] {
  const sidecar = isProxied(workload) && workload.mode !== 'observe' ? sidecarOf(mesh, workload) : undefined;
  if (sidecar === undefined) return [];
  const { meta, ingress } = sidecar;
  return ingress.flatMap(({ port, tls }, i): Diagnostic[] => {
    if (tls === undefined) return [];
    const base = {
      code: 'TRY0414',
      object: describeObject(meta),
      path: `spec.ingress[${i}].tls`,
      source: meta.source,
    } as const;
    const mode = mtlsMode(mesh.peerAuthentications, workload, port.number, mesh.config.rootNamespace);
    if (mode !== 'DISABLE')
      return [
        {
          ...base,
          severity: 'warning',
          message: `port ${port.number} of ${workload.serviceHost} has the mutual TLS of the mesh (${mode}), which comes first`,
          remedy: `Write a PeerAuthentication with mode DISABLE for port ${port.number}, or remove tls.`,
        },
      ];
    if (serverFiles(tls, host) !== undefined) return [];
    return [
      {
        ...base,
        severity: 'error',
        message: `this host has no folder for credentials, so that port ${port.number} takes no connections`,
        remedy: 'Set the folder of credentials in agent.yaml, or name the files.',
      },
    ];
  });
}

/** What of the Sidecars of this host's workloads has no effect here. */
export function diagnoseIngress(mesh: Mesh, host: Host): readonly Diagnostic[] {
  return mesh.sidecars.length === 0 ? [] : host.workloads.flatMap((workload) => ofWorkload(mesh, host, workload));
}
