/** Whose call it is, to what, and the host that would make just that call. */
import { BlockList, isIP } from 'node:net';
import { parseAddressRange } from '../lib/address-range.ts';
import { TrysailError } from '../lib/errors.ts';
import type { Host, NamedUpstream } from '../model/host.ts';
import { canonicalHost } from '../model/host-names.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Locality, Service } from '../model/service.ts';
import { assignAddresses } from '../model/service-addresses.ts';
import { type SpiffeId, workloadSpiffeId } from '../model/spiffe-id.ts';
import { bestSpecificity } from '../translate/view/host-pattern.ts';
import { isVisible } from '../translate/view/visibility.ts';
import type { CalledRequest } from './called-request.ts';

/** Where credentials are unless agent.yaml says otherwise. */
export const CREDENTIALS_FOLDER = '/etc/trysail/credentials';

export interface Caller {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined: it has no certificates, and calls in plain text. */
  readonly identity: SpiffeId | undefined;
  readonly locality: Locality;
}

export const CAPTURE_PORT = 15_001;
/** Of 240.240.0.0/16, whose addresses nothing but captured calls reach. */
const SERVICE_ADDRESS = '240.240.0.1';
const SERVICE_ADDRESSES = parseAddressRange('240.240.0.0/16');
/** Stands for the address of whatever is no service (TEST-NET-1, RFC 5737). */
const ELSEWHERE = '192.0.2.1';

/** @throws TrysailError `WORKLOAD_UNKNOWN` where the names make no identity */
export function callerIdentity({ config }: Mesh, namespace: string, serviceAccount: string): SpiffeId {
  const id = workloadSpiffeId({ trustDomain: config.trustDomain, namespace, serviceAccount });
  if (id !== undefined) return id;
  throw new TrysailError(
    'WORKLOAD_UNKNOWN',
    `namespace "${namespace}" with account "${serviceAccount}" makes no valid SPIFFE id`,
    {
      remedy: 'Correct --namespace or --service-account: letters, digits, ".", "_" and "-".',
    },
  );
}

/** The service that a name stands for to a caller: by its canonical name or an alias, else by the closest wildcard. */
function serviceOf(mesh: Mesh, host: string, namespace: string): Service | undefined {
  const known = mesh.services.get(canonicalHost(mesh.config, host, namespace));
  if (known !== undefined) return known;
  let best: { readonly service: Service; readonly found: number } | undefined;
  for (const service of mesh.services.values()) {
    const found = bestSpecificity([service.host, ...service.aliases], [host]);
    if (found !== undefined && (best === undefined || found > best.found)) best = { service, found };
  }
  return best?.service;
}

function addressesOf({ addresses = [] }: Service): readonly string[] {
  const own = addresses.find((address) => isIP(address) !== 0);
  return [own ?? SERVICE_ADDRESS];
}

/** The service that has an address, alone or in the smallest range, for a caller; of equals one with the port. */
function serviceAt(mesh: Mesh, { host, port }: CalledRequest, namespace: string): Service | undefined {
  const family = isIP(host) === 6 ? 'ipv6' : 'ipv4';
  let best: { readonly service: Service; readonly rank: number } | undefined;
  for (const service of mesh.services.values()) {
    if (!isVisible(service.exportTo ?? [], service.namespace, namespace)) continue;
    for (const range of service.addresses ?? []) {
      const [address = '', length = family === 'ipv4' ? '32' : '128'] = range.split('/');
      if (isIP(address) !== isIP(host)) continue;
      const list = new BlockList();
      list.addSubnet(address, Number(length), family);
      const rank = 2 * Number(length) + (service.ports.some(({ number }) => number === port) ? 1 : 0);
      if (list.check(host, family) && rank > (best?.rank ?? -1)) best = { service, rank };
    }
  }
  return best?.service;
}

/** Services of the mesh as a host calls them, each at an address of its own, so that their ports alone lead to none. */
function calledByName({ services }: Mesh): readonly NamedUpstream[] {
  const hosts = [...services.values()].flatMap(({ host, external, addresses = [] }) =>
    host.includes('*') || external || addresses.length > 0 ? [] : [host],
  );
  return assignAddresses([], hosts, { ranges: [SERVICE_ADDRESSES], taken: new Set([ELSEWHERE]), today: 0 }).map(
    ({ host, addresses }) => ({ serviceHost: host, addresses }),
  );
}

export interface Called {
  readonly host: Host;
  /** Undefined: the name or address is that of no service. */
  readonly service: Service | undefined;
  /** Where the connection goes. */
  readonly address: string;
}

/** A host with the caller alone, whose calls are captured, and what it calls alone. */
export function callingHost(mesh: Mesh, caller: Caller, request: CalledRequest): Called {
  const isAddress = isIP(request.host) !== 0;
  const service = isAddress
    ? serviceAt(mesh, request, caller.namespace)
    : serviceOf(mesh, request.host, caller.namespace);
  const named: readonly NamedUpstream[] =
    service === undefined
      ? isAddress
        ? []
        : calledByName(mesh)
      : service.host.includes('*') || (isAddress && !addressesOf(service).includes(request.host))
        ? []
        : [{ serviceHost: service.host, addresses: addressesOf(service) }];
  const { namespace, name, labels, identity, locality } = caller;
  const workload = {
    namespace,
    service: name,
    serviceHost: canonicalHost(mesh.config, name, namespace),
    // Of a host without certificates nobody asks for it; the caller's labels count nevertheless.
    identity: identity ?? callerIdentity(mesh, namespace, name),
    labels,
    inbound: undefined,
  };
  return {
    service,
    address: isAddress ? request.host : ((service === undefined ? undefined : named[0]?.addresses[0]) ?? ELSEWHERE),
    host: {
      nodeId: `${name}.${namespace}`,
      nodeCluster: `${name}.${namespace}`,
      locality,
      workloads: [workload],
      upstreams: [],
      callerIdentity: identity,
      ...(identity === undefined && { withoutCertificates: true }),
      namedUpstreams: named,
      callers: [{ identity, namespace, capturePort: CAPTURE_PORT }],
      credentialsFolder: CREDENTIALS_FOLDER,
      healthListener: { address: '127.0.0.1', port: 15_021 },
    },
  };
}
