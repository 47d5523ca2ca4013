/** What captured calls reach at addresses that are not this host's own names: services that configuration describes. */
import type { Service, ServicePort } from '../../model/service.ts';
import { protocolKind } from '../protocol-kind.ts';
import type { Target } from '../view/destination.ts';

/** A service at addresses of its own. */
export interface AddressedTarget extends Target {
  /** Addresses or CIDR ranges. */
  readonly addresses: readonly string[];
}

/** What is called on one port, in the order in which it counts. */
export interface EgressPort {
  readonly port: number;
  /** Bytes to addresses of their own. */
  readonly addressed: readonly AddressedTarget[];
  /** Requests, wherever they go: their Host says which. */
  readonly http: readonly Target[];
  /** TLS, wherever it goes: its server name says which. */
  readonly tls: readonly Target[];
  /** Bytes, wherever they go: whoever is first takes all that nobody else does. */
  readonly rest: readonly Target[];
}

interface Draft extends EgressPort {
  readonly addressed: AddressedTarget[];
  readonly http: Target[];
  readonly tls: Target[];
  readonly rest: Target[];
}

/** Whether captured calls find the service by what they carry, not by a name of this host. */
function isEgress({ consulName }: Service): boolean {
  return consulName === undefined;
}

function place(draft: Draft, target: Target): void {
  const { addresses = [] } = target.service;
  const kind = protocolKind(target.port.protocol);
  if (kind === 'http' || kind === 'http2') draft.http.push(target);
  else if (addresses.length > 0) draft.addressed.push({ ...target, addresses });
  else if (kind === 'auto') {
    draft.http.push(target);
    draft.rest.push(target);
  } else if (target.port.protocol === 'TCP') draft.rest.push(target);
  else draft.tls.push(target);
}

/**
 * By port, ascending.
 * @param services in the order in which they count
 * @param named those that have an address on this host, by which they are called
 * @param calls whether the client may call the service at a port
 */
export function egressPorts(
  services: Iterable<Service>,
  named: ReadonlySet<string>,
  calls: (service: Service, port: ServicePort) => boolean,
): readonly EgressPort[] {
  const ports = new Map<number, Draft>();
  for (const service of services) {
    // Who has a name of this host has an address of its own, and needs nobody to look into connections elsewhere.
    if (!isEgress(service) || (named.has(service.host) && service.addresses === undefined)) continue;
    const seen = new Set<number>();
    for (const port of service.ports) {
      if (seen.has(port.number) || !calls(service, port)) continue;
      seen.add(port.number);
      const draft = ports.get(port.number) ?? { port: port.number, addressed: [], http: [], tls: [], rest: [] };
      ports.set(port.number, draft);
      place(draft, { service, port, subset: undefined });
    }
  }
  return [...ports.values()].toSorted((a, b) => a.port - b.port);
}
