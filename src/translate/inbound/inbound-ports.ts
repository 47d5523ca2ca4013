/** What a workload takes in: the port that agent.yaml declares, and what its Sidecar says of it and of further ones. */
import type { ConnectionPool } from '../../model/destination-rule.ts';
import type { ServerTls } from '../../model/gateway.ts';
import type { Host, InboundPort, SocketAddress, SocketPath, Workload } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Service } from '../../model/service.ts';
import type { SidecarIngress } from '../../model/sidecar.ts';
import { chooseRules, effectivePolicy, joinRules } from '../clusters/traffic-policy.ts';
import { listenerName } from '../names.ts';
import { sidecarOf } from '../view/scope.ts';
import { mtlsMode } from './peer-authentication.ts';

/** A port as peers dial it, with the application behind it. */
export interface TakenPort extends Omit<InboundPort, 'application'> {
  readonly application: SocketAddress | SocketPath;
  /** TLS that is not the mesh's; `protocol` is what it carries. Absent: the mesh's rules. */
  readonly tls?: ServerTls;
}

export interface Inbound {
  readonly workload: Workload;
  readonly taken: TakenPort;
  /** Undefined: no limits. */
  readonly pool: ConnectionPool | undefined;
}

const LOOPBACK = '127.0.0.1';
const EVERYWHERE = '0.0.0.0';

function isAnyAddress(address: string): boolean {
  return address === EVERYWHERE || address === '::';
}

/** Whether connections to a workload's port, if it has one, pass Envoy. */
export function isProxied({ mode }: Workload): boolean {
  return mode !== 'off' && mode !== 'outbound';
}

/** `0.0.0.0` is the instance's own address; an application is never dialled at the very place where Envoy listens. */
function applicationAt(endpoint: string, listen: SocketAddress): SocketAddress | SocketPath {
  if (endpoint.startsWith('unix://')) return { path: endpoint.slice('unix://'.length) };
  const colon = endpoint.lastIndexOf(':');
  const address = endpoint.slice(0, colon).replaceAll(/[[\]]/g, '');
  const port = Number(endpoint.slice(colon + 1));
  if (!isAnyAddress(address)) return { address, port };
  return { address: isAnyAddress(listen.address) ? LOOPBACK : listen.address, port };
}

/** The declared port as an ingress listener for the same number has it. */
function overridden(declared: InboundPort, { port, bind, defaultEndpoint }: SidecarIngress): TakenPort {
  const listen = bind === undefined ? declared.listen : { ...declared.listen, address: bind };
  const { application } = declared;
  return {
    ...declared,
    listen,
    protocol: port.protocol,
    application: defaultEndpoint === undefined ? application : applicationAt(defaultEndpoint, listen),
  };
}

/** The address of what a Sidecar adds to a workload. */
function addedAddress({ bind }: SidecarIngress, { inbound: declared }: Workload): string {
  return bind ?? declared?.listen.address ?? EVERYWHERE;
}

/** A port that only the Sidecar knows: Envoy listens there itself. */
function added(ingress: SidecarIngress, workload: Workload): TakenPort {
  const { port, defaultEndpoint } = ingress;
  const listen = { address: addedAddress(ingress, workload), port: port.number };
  return {
    listen,
    protocol: port.protocol,
    application: applicationAt(defaultEndpoint ?? `${LOOPBACK}:${port.number}`, listen),
  };
}

/**
 * With the TLS that its listener asks for. The mesh's own comes first, as in Istio: only where PeerAuthentication turns
 * it off (DISABLE) is there room for another.
 */
function withTls(mesh: Mesh, workload: Workload, taken: TakenPort, { tls, port }: SidecarIngress): TakenPort {
  const { peerAuthentications, config } = mesh;
  if (tls === undefined || mtlsMode(peerAuthentications, workload, port.number, config.rootNamespace) !== 'DISABLE')
    return taken;
  return { ...taken, tls, protocol: port.protocol === 'HTTPS' ? 'HTTP' : 'TCP' };
}

/** The pool of the DestinationRules for the service, as its own namespace sees them. */
function rulePool(mesh: Mesh, workload: Workload, port: number): ConnectionPool | undefined {
  const { namespace, service: name, serviceHost } = workload;
  const known = mesh.services.get(serviceHost);
  const service: Pick<Service, 'host' | 'namespace' | 'name' | 'aliases' | 'ports'> = known ?? {
    host: serviceHost,
    namespace,
    name,
    aliases: [],
    ports: [],
  };
  const client = { namespace, labels: workload.labels, rootNamespace: mesh.config.rootNamespace };
  const policy = joinRules(chooseRules(mesh.destinationRules, service, client));
  const [only, ...others] = service.ports;
  const servicePort = only !== undefined && others.length === 0 ? only.number : port;
  return effectivePolicy(policy, servicePort, undefined).connectionPool;
}

/**
 * Whether another workload of the host, for which the same Sidecar is, has an ingress port: one that declares it, or an
 * earlier one that is the same to peers, as a workload with several ports is several here.
 */
function isAnothers(mesh: Mesh, workload: Workload, all: readonly Workload[], one: SidecarIngress): boolean {
  const address = addedAddress(one, workload);
  return all.some((other, i) => {
    if (other === workload || !isProxied(other) || other.mode === 'observe') return false;
    const { inbound: declared } = other;
    const isDeclared = declared?.listen.port === one.port.number && declared.listen.address === address;
    const isSame =
      i < all.indexOf(workload) && other.identity === workload.identity && addedAddress(one, other) === address;
    return (isDeclared || isSame) && sidecarOf(mesh, other) === sidecarOf(mesh, workload);
  });
}

/**
 * The ports of a workload that pass Envoy; in mode `observe` the declared one alone, since no rule holds there. A pool
 * is that of the ingress listener, else the Sidecar's, else that of the DestinationRules, never a mixture.
 * @param all the workloads of the host
 */
export function inboundPorts(
  mesh: Mesh,
  workload: Workload,
  all: readonly Workload[] = [workload],
): readonly Inbound[] {
  const { inbound: declared, mode } = workload;
  if (!isProxied(workload)) return [];
  if (mode === 'observe') return declared === undefined ? [] : [{ workload, taken: declared, pool: undefined }];
  const sidecar = sidecarOf(mesh, workload);
  const poolOf = (port: number, ingress?: SidecarIngress): ConnectionPool | undefined =>
    ingress?.connectionPool ?? sidecar?.inboundConnectionPool ?? rulePool(mesh, workload, port);
  const ingress = sidecar?.ingress ?? [];
  const own = declared && ingress.find(({ port }) => port.number === declared.listen.port);
  const first: readonly Inbound[] =
    declared === undefined
      ? []
      : [
          {
            workload,
            taken: own === undefined ? declared : withTls(mesh, workload, overridden(declared, own), own),
            pool: poolOf(declared.listen.port, own),
          },
        ];
  const others = ingress
    .filter((one) => one !== own && !isAnothers(mesh, workload, all, one))
    .map(
      (one): Inbound => ({
        workload,
        taken: withTls(mesh, workload, added(one, workload), one),
        pool: poolOf(one.port.number, one),
      }),
    );
  return [...first, ...others];
}

/** Those of all workloads, each address and port once: the first holds. */
export function hostInboundPorts(mesh: Mesh, { workloads }: Pick<Host, 'workloads'>): readonly Inbound[] {
  const byListener = new Map<string, Inbound>();
  for (const one of workloads.flatMap((workload) => inboundPorts(mesh, workload, workloads))) {
    const name = listenerName(one.taken.listen);
    if (!byListener.has(name)) byListener.set(name, one);
  }
  return [...byListener.values()];
}
