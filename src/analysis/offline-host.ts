/** The host that a workload would have to itself, as `agent.yaml` with its defaults would make it. */
import { isIP } from 'node:net';
import { type AddressRange, parseAddressRange } from '../lib/address-range.ts';
import { TrysailError } from '../lib/errors.ts';
import type { Host, NamedUpstream, Workload } from '../model/host.ts';
import { canonicalHost } from '../model/host-names.ts';
import type { Service } from '../model/service.ts';
import { assignAddresses } from '../model/service-addresses.ts';
import { type SpiffeId, workloadSpiffeId } from '../model/spiffe-id.ts';
import { scopeOf, sidecarOf } from '../translate/view/scope.ts';
import type { Configuration } from './configuration.ts';
import type { DescribedWorkload } from './described-workload.ts';
import { CREDENTIALS_FOLDER } from './explain-host.ts';
import { type ServedPort, servedPorts } from './served-ports.ts';

/**
 * `loopback`: services by name at loopback addresses; `capture`: the workload notices nothing; `gateway`: it is a gateway,
 * and calls nobody on its own account.
 */
export type HostMode = 'loopback' | 'capture' | 'gateway';

/** Istio's numbers. */
const OUTBOUND_PORT = 15_001;
const INBOUND_PORT = 15_006;
const HEALTH_PORT = 15_021;
/** Where peers find a gateway that no service names. */
const GATEWAY_PORT = 443;
/** `loopback`: default of `dns.addresses`. `capture`: addresses that nothing but captured calls reach, as in Istio. */
const SERVICE_ADDRESSES: Readonly<Record<Exclude<HostMode, 'gateway'>, AddressRange>> = {
  loopback: parseAddressRange('127.240.0.0/16'),
  capture: parseAddressRange('240.240.0.0/16'),
};

function identityOf({ mesh }: Configuration, workload: DescribedWorkload, served: readonly ServedPort[]): SpiffeId {
  const { trustDomain } = mesh.config;
  const { namespace, serviceAccount = served[0]?.account ?? workload.name ?? 'default' } = workload;
  const id = workloadSpiffeId({ trustDomain, namespace, serviceAccount });
  if (id !== undefined) return id;
  throw new TrysailError(
    'WORKLOAD_UNKNOWN',
    `namespace "${namespace}" with account "${serviceAccount}" makes no valid SPIFFE id`,
    {
      remedy: 'Correct --namespace or --service-account: letters, digits, ".", "_" and "-".',
    },
  );
}

/** Single addresses at which a ServiceEntry says that callers know the service, one of each family. */
function ownAddresses({ addresses = [] }: Service): readonly string[] {
  const single = addresses.filter((address) => isIP(address) !== 0);
  return [4, 6].flatMap((family) => single.find((address) => isIP(address) === family) ?? []);
}

/**
 * Services that the workload sees and can call by a name, each with the address that a host gives it. Where calls are
 * captured, what lies outside of the mesh is called at its own addresses, and found by these, by Host or by server name.
 */
function namedUpstreams(
  { mesh }: Configuration,
  workload: DescribedWorkload,
  mode: Exclude<HostMode, 'gateway'>,
): readonly NamedUpstream[] {
  const scope = scopeOf(sidecarOf(mesh, workload), mesh.virtualServices, workload);
  const visible = [...mesh.services.values()].filter(
    (service) => !service.host.includes('*') && scope.calls(service) && !(service.external && mode === 'capture'),
  );
  const own = new Map(mode === 'capture' ? visible.map((service) => [service.host, ownAddresses(service)]) : []);
  const without = visible.map(({ host }) => host).filter((host) => (own.get(host) ?? []).length === 0);
  const given = assignAddresses([], without, { ranges: [SERVICE_ADDRESSES[mode]], taken: new Set(), today: 0 });
  const addresses = new Map([...own, ...given.map((entry) => [entry.host, entry.addresses] as const)]);
  return visible.map(({ host }) => ({ serviceHost: host, addresses: addresses.get(host) ?? [] }));
}

function workloadsOf(
  configuration: Configuration,
  { namespace, name = 'workload', labels, address }: DescribedWorkload,
  served: readonly ServedPort[],
  identity: SpiffeId,
  mode: HostMode,
): readonly Workload[] {
  if (served.length === 0)
    return [
      {
        namespace,
        service: name,
        serviceHost: canonicalHost(configuration.mesh.config, name, namespace),
        identity,
        labels,
        inbound: undefined,
      },
    ];
  const at = address !== undefined && isIP(address) !== 0 ? address : '0.0.0.0';
  return served.map(({ service, port, number }) => ({
    namespace,
    service: service.name,
    serviceHost: service.host,
    identity,
    labels,
    inbound: {
      listen: { address: at, port: number },
      protocol: port.protocol,
      ...(mode === 'capture'
        ? { application: { address: at, port: number }, capture: 'redirect' }
        : { application: { address: '127.0.0.1', port: number } }),
    },
  }));
}

/** A gateway listens for what Gateways say whose selector its labels fulfil. */
function gatewayHost(
  { mesh }: Configuration,
  { namespace, name = 'gateway', labels, address, locality }: DescribedWorkload,
  served: readonly ServedPort[],
  identity: SpiffeId,
): Host {
  const at = address !== undefined && isIP(address) !== 0 ? address : '0.0.0.0';
  const serviceHost = canonicalHost(mesh.config, name, namespace);
  // Whether it is registered no file says, so that nothing is to be complained of.
  const registered = { address: at, port: served[0]?.number ?? GATEWAY_PORT };
  return {
    nodeId: `${name}.${namespace}`,
    nodeCluster: `${name}.${namespace}`,
    locality,
    workloads: [],
    upstreams: [],
    callerIdentity: identity,
    gateways: [{ namespace, name, serviceHost, labels, identity, address: at, registered }],
    credentialsFolder: CREDENTIALS_FOLDER,
    healthListener: { address: '127.0.0.1', port: HEALTH_PORT },
  };
}

/**
 * The host of one workload alone. Its addresses of services are those that an agent gives first: the same for the same
 * services, whatever else there is.
 * @throws TrysailError `WORKLOAD_UNKNOWN` where its names make no identity
 */
export function offlineHost(configuration: Configuration, workload: DescribedWorkload, mode: HostMode): Host {
  const served = servedPorts(configuration, workload);
  const identity = identityOf(configuration, workload, served);
  if (mode === 'gateway') return gatewayHost(configuration, workload, served, identity);
  const { namespace, name = 'workload', locality } = workload;
  return {
    nodeId: `${name}.${namespace}`,
    nodeCluster: `${name}.${namespace}`,
    locality,
    workloads: workloadsOf(configuration, workload, served, identity, mode),
    upstreams: [],
    callerIdentity: identity,
    namedUpstreams: namedUpstreams(configuration, workload, mode),
    ...(mode === 'capture' && { callers: [{ identity, namespace, capturePort: OUTBOUND_PORT }] }),
    ...(mode === 'capture' && served.length > 0 && { inboundCapturePort: INBOUND_PORT }),
    credentialsFolder: CREDENTIALS_FOLDER,
    healthListener: { address: '127.0.0.1', port: HEALTH_PORT },
  };
}
