/** Which VirtualServices speak for a server of a Gateway, and for which of its hosts. */
import type { GatewayHost } from '../../model/gateway.ts';
import type { VirtualService } from '../../model/virtual-service.ts';
import { gatewaysOf } from '../http/client-conditions.ts';
import { specificity } from '../view/host-pattern.ts';
import { isVisible } from '../view/visibility.ts';
import type { BoundServer } from './gateway-servers.ts';

export interface BoundRule {
  readonly virtualService: VirtualService;
  /** Hosts of the server and the VirtualService alike, the narrower pattern of each two; never empty. */
  readonly hosts: readonly string[];
}

/** What both patterns cover: one of them, or nothing. */
export function narrower(a: string, b: string): string | undefined {
  if (specificity(a, b) !== undefined) return b;
  return specificity(b, a) === undefined ? undefined : a;
}

/** What of `patterns` lies within the hosts that a server offers to a namespace. */
export function within(
  hosts: readonly GatewayHost[],
  namespace: string,
  patterns: readonly string[],
): readonly string[] {
  const offered = hosts.filter((one) => one.namespace === '*' || one.namespace === namespace);
  return [
    ...new Set(
      offered.flatMap(({ host }) => patterns.flatMap((pattern) => narrower(host, pattern.toLowerCase()) ?? [])),
    ),
  ];
}

/**
 * In the order of `virtualServices`: oldest first.
 * @param namespace of the gateway workload, which `exportTo` must let see a rule
 */
export function boundRules(
  virtualServices: readonly VirtualService[],
  { gateway, hosts }: BoundServer,
  namespace: string,
): readonly BoundRule[] {
  return virtualServices.flatMap((virtualService) => {
    const { meta, exportTo } = virtualService;
    if (!gatewaysOf(virtualService).includes(gateway) || !isVisible(exportTo, meta.namespace, namespace)) return [];
    const both = within(hosts, meta.namespace, virtualService.hosts);
    return both.length === 0 ? [] : [{ virtualService, hosts: both }];
  });
}
