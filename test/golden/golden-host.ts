/** The host of a golden case, as its `host.yaml` says. */
import * as z from 'zod/mini';
import type { Caller, GatewayRole, Host, SocketAddress, SocketPath, Upstream, Workload } from '../../src/model/host.ts';
import { canonicalHost, DEFAULT_NAMESPACE } from '../../src/model/host-names.ts';
import type { MeshConfig } from '../../src/model/mesh-config.ts';
import type { Locality, Protocol } from '../../src/model/service.ts';
import { type SpiffeId, workloadSpiffeId } from '../../src/model/spiffe-id.ts';

const KINDS = ['Cluster', 'ClusterLoadAssignment', 'Listener', 'RouteConfiguration'] as const;
const PROTOCOLS = ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTPS', 'TLS', 'TCP', 'AUTO'] as const satisfies readonly Protocol[];
const mode = z.optional(z.enum(['off', 'observe', 'outbound', 'full']));

/** Identities are written `namespace/account`. */
export const hostFile = z.strictObject({
  /** What the case shows, in a sentence. */
  about: z.string(),
  /** The kinds of resources that the case is about. */
  show: z.array(z.enum(KINDS)),
  /** Absent: no identity. */
  callAs: z.optional(z.string()),
  locality: z.optional(z.string()),
  upstreams: z.optional(
    z.array(
      z.strictObject({
        service: z.string(),
        port: z.optional(z.number()),
        /** `127.0.0.1:9001` or `unix:/run/x.sock`. */
        listen: z.string(),
        callAs: z.optional(z.string()),
      }),
    ),
  ),
  gateways: z.optional(
    z.array(
      z.strictObject({
        /** `namespace/name`. */
        role: z.string(),
        labels: z.record(z.string(), z.string()),
        identity: z.optional(z.string()),
        address: z.optional(z.string()),
        /** `{"80": 8080}`. */
        ports: z.optional(z.record(z.string(), z.number())),
        trustedHops: z.optional(z.number()),
        proxyProtocol: z.optional(z.boolean()),
        /** Where it is found by its service: `10.0.0.5:443`. */
        registered: z.optional(z.string()),
      }),
    ),
  ),
  named: z.optional(z.array(z.strictObject({ service: z.string(), addresses: z.array(z.string()) }))),
  /** Where Envoy takes requests by their Host. */
  proxy: z.optional(z.string()),
  /** Whether Envoy's DNS answers, and who is asked for names that it does not have. */
  dns: z.optional(z.strictObject({ learner: z.optional(z.string()) })),
  callers: z.optional(
    z.array(
      z.strictObject({
        callAs: z.optional(z.string()),
        port: z.number(),
        everywhere: z.optional(z.boolean()),
        mode,
      }),
    ),
  ),
  workloads: z.optional(
    z.array(
      z.strictObject({
        service: z.string(),
        labels: z.optional(z.record(z.string(), z.string())),
        protocol: z.enum(PROTOCOLS),
        listen: z.string(),
        application: z.string(),
        capture: z.optional(z.enum(['redirect', 'tproxy'])),
        mode,
      }),
    ),
  ),
});

export type HostFile = z.output<typeof hostFile>;

function socketAddress(text: string): SocketAddress {
  const split = text.lastIndexOf(':');
  return { address: text.slice(0, split), port: Number(text.slice(split + 1)) };
}

function listenOf(text: string): SocketAddress | SocketPath {
  return text.startsWith('unix:') ? { path: text.slice('unix:'.length) } : socketAddress(text);
}

function identityOf(config: MeshConfig, text: string): SpiffeId {
  const [namespace = '', serviceAccount = ''] = text.split('/');
  const id = workloadSpiffeId({ trustDomain: config.trustDomain, namespace, serviceAccount });
  if (id === undefined) throw new Error(`${text} is no namespace/account`);
  return id;
}

function localityOf(text: string | undefined): Locality {
  const [region = '', zone = '', subzone = ''] = text?.split('/') ?? [];
  return { region, zone, subzone };
}

export function hostOf(spec: HostFile, config: MeshConfig): Host {
  const serviceHost = (service: string): string => canonicalHost(config, service, DEFAULT_NAMESPACE);
  const optionalIdentity = (text: string | undefined): SpiffeId | undefined =>
    text === undefined ? undefined : identityOf(config, text);
  const upstreams = (spec.upstreams ?? []).map(({ service, port, listen, callAs }): Upstream => {
    const caller = optionalIdentity(callAs);
    return {
      serviceHost: serviceHost(service),
      servicePort: port,
      listen: listenOf(listen),
      ...(caller !== undefined && { caller }),
    };
  });
  const callers = spec.callers?.map(
    ({ callAs, port, everywhere, mode: callerMode }): Caller => ({
      identity: optionalIdentity(callAs),
      namespace: callAs?.split('/')[0] ?? DEFAULT_NAMESPACE,
      capturePort: port,
      ...(everywhere !== undefined && { everywhere }),
      ...(callerMode !== undefined && { mode: callerMode }),
    }),
  );
  const workloads = (spec.workloads ?? []).map((workload): Workload => {
    const { service, labels, protocol, listen, application, capture, mode: workloadMode } = workload;
    const inbound = { listen: socketAddress(listen), protocol, application: socketAddress(application) };
    return {
      namespace: DEFAULT_NAMESPACE,
      service,
      serviceHost: serviceHost(service),
      identity: identityOf(config, `${DEFAULT_NAMESPACE}/${service}`),
      labels: labels ?? {},
      inbound: { ...inbound, ...(capture !== undefined && { capture }) },
      ...(workloadMode !== undefined && { mode: workloadMode }),
    };
  });
  const gateways = spec.gateways?.map(({ role, identity, address, ports, trustedHops, proxyProtocol, registered, ...gateway }): GatewayRole => {
    const [namespace = '', name = ''] = role.split('/');
    return {
      namespace,
      name,
      serviceHost: canonicalHost(config, name, namespace),
      labels: gateway.labels,
      identity: optionalIdentity(identity),
      address: address ?? '0.0.0.0',
      ...(ports !== undefined && { ports }),
      ...(trustedHops !== undefined && { trustedHops }),
      ...(proxyProtocol !== undefined && { proxyProtocol }),
      ...(registered !== undefined && { registered: socketAddress(registered) }),
    };
  });
  const named = spec.named?.map(({ service, addresses }) => ({ serviceHost: serviceHost(service), addresses }));
  return {
    nodeId: 'golden',
    nodeCluster: 'golden',
    locality: localityOf(spec.locality),
    workloads,
    upstreams,
    callerIdentity: optionalIdentity(spec.callAs),
    ...(gateways !== undefined && { gateways, credentialsFolder: '/etc/trysail/credentials' }),
    ...(named !== undefined && { namedUpstreams: named }),
    ...(callers !== undefined && { callers }),
    ...(workloads.some(({ inbound }) => inbound?.capture !== undefined) && { inboundCapturePort: 15006 }),
    ...(spec.proxy !== undefined && {
      proxy: { listen: socketAddress(spec.proxy), gate: { path: '/run/trysail/learner.sock' } },
    }),
    ...(spec.dns !== undefined && {
      dns: {
        listen: { address: '127.0.0.1', port: 15053 },
        ...(spec.dns.learner !== undefined && { learner: socketAddress(spec.dns.learner) }),
      },
    }),
    healthListener: { address: '127.0.0.1', port: 15021 },
  };
}

/** Whose certificates Envoy needs there. */
export function identitiesOf(host: Host): readonly SpiffeId[] {
  const all = [
    host.callerIdentity,
    ...host.workloads.map(({ identity }) => identity),
    ...host.upstreams.map(({ caller }) => caller),
    ...(host.callers ?? []).map(({ identity }) => identity),
    ...(host.gateways ?? []).map(({ identity }) => identity),
  ];
  return [...new Set(all.filter((identity) => identity !== undefined))];
}
