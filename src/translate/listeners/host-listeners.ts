/** Where Envoy listens on this host, and for whom: what must not be in each other's way. */
import type { Host, SocketAddress, SocketPath } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import { mergeServers } from '../gateway/gateway-servers.ts';
import { inboundPorts } from '../inbound/inbound-ports.ts';
import { listenerName } from '../names.ts';
import { captureAddresses } from '../outbound/outbound-capture.ts';
import { bindableAddresses, capturedCallers, type HostCalling } from '../view/calling.ts';

export interface HostListener {
  /** Such as `workload reviews.default.mesh`. */
  readonly owner: string;
  readonly at: SocketAddress | SocketPath;
  /** It may listen at all addresses of a port and at one of them as well: the kernel takes the closer one. */
  readonly isGateway?: true;
}

const ANY = new Set(['0.0.0.0', '::']);

/** In the order in which they are made. */
export function hostListeners(mesh: Mesh, host: Host, { bindsNames }: HostCalling): readonly HostListener[] {
  const { inboundCapturePort, namedUpstreams = [], withoutIpv6 = false } = host;
  const workloads = host.workloads.flatMap((workload) =>
    inboundPorts(mesh, workload, host.workloads).map(({ taken }) => ({
      owner: `workload ${workload.serviceHost}`,
      at: taken.listen,
    })),
  );
  const names = bindsNames ? namedUpstreams : [];
  return [
    { owner: 'the health listener', at: host.healthListener },
    ...(inboundCapturePort === undefined
      ? []
      : [{ owner: 'the capture of inbound connections', at: { address: '0.0.0.0', port: inboundCapturePort } }]),
    ...workloads,
    ...host.upstreams.map(({ serviceHost, listen }) => ({ owner: `upstream ${serviceHost}`, at: listen })),
    ...(host.proxy === undefined ? [] : [{ owner: 'the proxy', at: host.proxy.listen }]),
    ...names.flatMap((upstream) =>
      (mesh.services.get(upstream.serviceHost)?.ports ?? []).flatMap(({ number: port }) =>
        bindableAddresses(upstream).map((address) => ({
          owner: `service by name ${upstream.serviceHost}`,
          at: { address, port },
        })),
      ),
    ),
    ...capturedCallers(host).flatMap((caller) =>
      captureAddresses(caller, withoutIpv6).map((at) => ({
        owner: `captured calls at port ${caller.capturePort}`,
        at,
      })),
    ),
    ...(host.gateways ?? []).flatMap((role) =>
      mergeServers(mesh.gateways, role).ports.map(({ listen }) => ({
        owner: `gateway ${role.namespace}/${role.name}`,
        at: listen,
        isGateway: true as const,
      })),
    ),
  ];
}

const isIpv6 = ({ address }: SocketAddress): boolean => address.includes(':');

/** Whether two listeners cannot both be there. All addresses of one family are not in the other one's way. */
function collide(a: HostListener['at'], b: HostListener['at']): boolean {
  if ('path' in a || 'path' in b) return listenerName(a) === listenerName(b);
  if (a.port !== b.port || isIpv6(a) !== isIpv6(b)) return false;
  return a.address === b.address || ANY.has(a.address) || ANY.has(b.address);
}

/** Each listener that cannot be there because of an earlier one, with that. */
export function collisions(
  listeners: readonly HostListener[],
): readonly { readonly listener: HostListener; readonly first: HostListener }[] {
  const byPort = new Map<number | string, HostListener[]>();
  return listeners.flatMap((listener) => {
    const { at } = listener;
    const key = 'path' in at ? at.path : at.port;
    const earlier = byPort.get(key) ?? [];
    byPort.set(key, [...earlier, listener]);
    const first = earlier.find(
      (other) => collide(other.at, at) && !(listener.isGateway === true && other.owner === listener.owner),
    );
    return first === undefined ? [] : [{ listener, first }];
  });
}
