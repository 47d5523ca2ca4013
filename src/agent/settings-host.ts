/** From agent.yaml and the mesh's configuration to the `Host` that translation works for. */
import { join } from 'node:path';
import { TrysailError } from '../lib/errors.ts';
import type { Caller, GatewayRole, Host, NamedUpstream, SocketAddress, Upstream, Workload } from '../model/host.ts';
import { canonicalHost, DEFAULT_NAMESPACE, serviceHosts } from '../model/host-names.ts';
import { labelsOfInstance } from '../model/labels.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { type SpiffeId, workloadSpiffeId } from '../model/spiffe-id.ts';
import { PORTS } from '../platform/vm/ports.ts';
import { systemRootsFile } from '../platform/vm/system-roots.ts';
import { assignCapturePorts, capturedCallers } from './callers.ts';
import { gatewayPlace } from './gateway-place.ts';
import type { ServiceReference } from './setting-forms.ts';
import type { Account, AgentSettings, GatewaySettings, ServiceSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';

function identityOf(account: Account, trustDomain: string): SpiffeId {
  const id = workloadSpiffeId({ trustDomain, ...account });
  if (id !== undefined) return id;
  throw new TrysailError(
    'IDENTITY_INVALID',
    `trust domain ${JSON.stringify(trustDomain)} with account ${account.namespace}/${account.serviceAccount} makes no valid SPIFFE id`,
    { remedy: 'Correct trustDomain in meshconfig.yaml: lower-case letters, digits, ".", "_" and "-".' },
  );
}

/** What the settings alone cannot say, since it must outlive the agent. */
export interface HostAllocations {
  /** The addresses of a service that is called by name. */
  readonly serviceAddresses: (serviceHost: string) => readonly string[];
  /** Envoy's port for each caller of `capturedCallers`, by key. */
  readonly capturePorts: ReadonlyMap<string, number>;
  /** As of `Host`. */
  readonly withoutIpv6?: boolean;
}

function workloadOf(service: ServiceSettings, hostAddress: string, config: HostConfig): Workload {
  const { inbound, mode } = service;
  return {
    namespace: service.namespace,
    service: service.name,
    serviceHost: serviceHosts(config, service)[0],
    identity: identityOf(service, config.trustDomain),
    labels: labelsOfInstance(service.name, service.labels),
    inbound:
      inbound === undefined || !isProxied(mode)
        ? undefined
        : {
            listen: { address: hostAddress, port: inbound.port },
            protocol: inbound.protocol,
            application: inbound.application,
            ...(inbound.capture === undefined ? {} : { capture: inbound.capture }),
          },
    ...(mode === 'full' ? {} : { mode }),
  };
}

function callersOf(settings: AgentSettings, config: HostConfig, ports: ReadonlyMap<string, number>): readonly Caller[] {
  return capturedCallers(settings).flatMap(({ key, match, account, mode }): Caller[] => {
    const capturePort = ports.get(key);
    if (capturePort === undefined) return [];
    const hasIdentity = settings.identity.provider !== 'none' && account !== undefined;
    return [
      {
        identity: hasIdentity ? identityOf(account, config.trustDomain) : undefined,
        namespace: account?.namespace ?? settings.services[0]?.namespace ?? DEFAULT_NAMESPACE,
        capturePort,
        // Of a bridge that comes later, too, as that of an engine of containers which starts after us.
        ...(match === undefined && settings.capture.interfaces.length > 0 ? { everywhere: true } : {}),
        ...(mode === 'full' ? {} : { mode }),
      },
    ];
  });
}

function gatewayOf(
  gateway: GatewaySettings,
  config: HostConfig,
  { withIdentities, hostAddress }: { readonly withIdentities: boolean; readonly hostAddress: string },
): GatewayRole {
  const { name, namespace, labels, address, ports, trustedProxies, proxyProtocol, register } = gateway;
  return {
    namespace,
    name,
    serviceHost: serviceHosts(config, gateway)[0],
    labels,
    identity: withIdentities ? identityOf(gateway, config.trustDomain) : undefined,
    address,
    ...(Object.keys(ports).length === 0 ? {} : { ports }),
    ...(trustedProxies === undefined ? {} : { trustedHops: trustedProxies }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(register === undefined ? {} : { registered: gatewayPlace(gateway, register.port, hostAddress) }),
  };
}

/** Where the agent answers for names that Envoy does not know (UDP): beside Envoy's own DNS. */
function learnerAddress({ address, port }: SocketAddress): SocketAddress {
  return { address, port: port === 65_535 ? port - 1 : port + 1 };
}

/** The socket at which the agent is asked for hosts that Envoy does not know. */
export function gateSocket(runDir: string): string {
  return join(runDir, 'learner.sock');
}

type HostConfig = Pick<MeshConfig, 'trustDomain' | 'serviceHosts'>;

/**
 * What runs on this host and what it calls, with canonical host names and SPIFFE ids.
 * @param allocations absent: services by name have no addresses, and callers the first ports
 * @throws TrysailError `IDENTITY_INVALID` when the trust domain cannot be part of a SPIFFE id
 */
export function toHost(settings: AgentSettings, config: HostConfig, allocations?: HostAllocations): Host {
  const { host, callAs, dns, discovery } = settings;
  const withIdentities = settings.identity.provider !== 'none';
  const workloads = settings.services.map((service) => workloadOf(service, host.address, config));
  const gatewayHost = { withIdentities, hostAddress: host.address };
  const [first] = settings.services;
  const canonical = first ?? settings.gateways[0];
  const callNamespace = callAs?.namespace ?? first?.namespace ?? DEFAULT_NAMESPACE;
  const hostOf = (service: ServiceReference, namespace: string): string =>
    typeof service === 'string' ? canonicalHost(config, service, namespace) : serviceHosts(config, service)[0];
  const capturePorts =
    allocations?.capturePorts ??
    assignCapturePorts(
      capturedCallers(settings).map(({ key }) => key),
      new Map(),
    );
  const callers = callersOf(settings, config, capturePorts);
  // With one account nobody has to be named; with several, whoever set `callAs` has named one for all of them.
  const several = new Set(settings.services.map((one) => `${one.namespace}/${one.serviceAccount}`)).size > 1;
  const named = settings.upstreams.flatMap(({ service, listen }): NamedUpstream[] => {
    if (listen !== undefined) return [];
    const serviceHost = hostOf(service, callNamespace);
    return [
      {
        serviceHost,
        addresses: allocations?.serviceAddresses(serviceHost) ?? [],
        ...(settings.mode === 'observe' ? { mode: 'observe' as const } : {}),
      },
    ];
  });
  return {
    nodeId: host.name,
    nodeCluster: canonical === undefined ? host.name : `${canonical.name}.${canonical.namespace}`,
    locality: host.locality ?? { region: '', zone: '', subzone: '' },
    workloads,
    upstreams: settings.upstreams.flatMap(({ service, port, listen, callAs: own }): Upstream[] => {
      if (listen === undefined) return [];
      const account = own ?? (several ? callAs : undefined);
      return [
        {
          serviceHost: hostOf(service, own?.namespace ?? callNamespace),
          servicePort: port,
          listen,
          ...(account === undefined || !withIdentities ? {} : { caller: identityOf(account, config.trustDomain) }),
          ...(settings.mode === 'observe' ? { mode: 'observe' as const } : {}),
        },
      ];
    }),
    callerIdentity: callAs === undefined ? undefined : identityOf(callAs, config.trustDomain),
    ...(withIdentities ? {} : { withoutCertificates: true }),
    ...(named.length === 0 ? {} : { namedUpstreams: named }),
    ...(callers.length === 0 ? {} : { callers }),
    ...(workloads.some(({ inbound }) => inbound?.capture !== undefined)
      ? { inboundCapturePort: PORTS.inboundCapture }
      : {}),
    ...(allocations?.withoutIpv6 === true ? { withoutIpv6: true } : {}),
    ...(settings.gateways.length === 0
      ? {}
      : { gateways: settings.gateways.map((gateway) => gatewayOf(gateway, config, gatewayHost)) }),
    credentialsFolder: settings.paths.credentials,
    systemRootsFile: systemRootsFile(),
    ...(dns.enabled
      ? { dns: { listen: dns.listen, ...(discovery.onDemand ? { learner: learnerAddress(dns.listen) } : {}) } }
      : {}),
    ...(discovery.proxy === undefined || !discovery.onDemand
      ? {}
      : { proxy: { listen: discovery.proxy, gate: { path: gateSocket(settings.paths.run) } } }),
    healthListener: settings.envoy.healthListener,
  };
}

/** Whether services are learnt when they are first called. */
function learns({ dns, proxy }: Host): boolean {
  return dns?.learner !== undefined || proxy !== undefined;
}

/** The identities that the host needs certificates of: those of its services in the mesh and of whoever calls. */
export function neededIdentities(host: Host): readonly SpiffeId[] {
  return [
    ...new Set([
      ...host.workloads.flatMap(({ identity, mode }) => (mode === 'off' ? [] : [identity])),
      // Also where nothing is called yet: what is learnt must not wait for a certificate.
      ...(host.upstreams.length > 0 || (host.namedUpstreams ?? []).length > 0 || learns(host)
        ? [host.callerIdentity]
        : []),
      ...host.upstreams.map(({ caller }) => caller),
      ...(host.callers ?? []).map(({ identity }) => identity),
      ...(host.gateways ?? []).map(({ identity }) => identity),
    ]),
  ].filter((identity) => identity !== undefined);
}
