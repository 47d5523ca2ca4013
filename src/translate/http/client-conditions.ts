/** Whether a rule's conditions on where it holds and who calls are met. */

import { hasLabels } from '../../model/labels.ts';
import { MESH_GATEWAY, type SourceConditions, type VirtualService } from '../../model/virtual-service.ts';
import type { Client } from '../view/calling.ts';

const MESH_ALONE: readonly string[] = [MESH_GATEWAY];

/** Where a VirtualService holds: `mesh` or gateways as `namespace/name`. */
export function gatewaysOf({ gateways }: VirtualService): readonly string[] {
  return gateways === undefined || gateways.length === 0 ? MESH_ALONE : gateways;
}

/**
 * Whether a match of an HTTP route counts at `gateway` for `client`. As in Istio, gateways of its own make the
 * conditions on the source void.
 */
export function httpSourceHolds(
  { gateways = [], sourceLabels = {}, sourceNamespace }: SourceConditions,
  gateway: string,
  client: Client,
): boolean {
  if (gateways.length > 0) return gateways.includes(gateway);
  return hasLabels(client.labels, sourceLabels) && (sourceNamespace ?? client.namespace) === client.namespace;
}
