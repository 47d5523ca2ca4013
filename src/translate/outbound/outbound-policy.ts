/** What becomes of calls to what the mesh does not know. */
import type { Mesh } from '../../model/mesh.ts';
import type { OutboundTrafficPolicy } from '../../model/sidecar.ts';
import type { Client } from '../view/calling.ts';
import { sidecarOf } from '../view/scope.ts';

const ALLOW_ANY: OutboundTrafficPolicy = { mode: 'ALLOW_ANY' };

/** The policy for a client: that of its Sidecar, else the mesh's, else `ALLOW_ANY`. */
export function outboundPolicy(
  mesh: Pick<Mesh, 'sidecars' | 'config'>,
  client: Pick<Client, 'namespace' | 'labels' | 'gateway'>,
): OutboundTrafficPolicy {
  const own = sidecarOf(mesh, client)?.outboundTrafficPolicy;
  if (own !== undefined) return own;
  const mode = mesh.config.outboundTrafficPolicy;
  return mode === undefined ? ALLOW_ANY : { mode };
}
