/** Whose call it is, to what, and the host that would make just that call. */
import { isIP } from 'node:net';
import { TrysailError } from '../lib/errors.ts';
import type { Host, NamedUpstream } from '../model/host.ts';
import { canonicalHost } from '../model/host-names.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Locality, Service } from '../model/service.ts';
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
/** Stands for the address of whatever is no service (TEST-NET-1, RFC 5737). */
const ELSEWHERE = '192.0.2.1';

/** @throws TrysailError `WORKLOAD_UNKNOWN` where the names make no identity */
export function callerIdentity({ config }: Mesh, namespace: string, serviceAccount: string): SpiffeId {
  const id = workloadSpiffeId({ trustDomain: config.trustDomain, namespace, serviceAccount });
  if (id !== undefined) return id;
  throw new TrysailError('WORKLOAD_UNKNOWN', `${namespace}/${serviceAccount} makes no valid SPIFFE id`, {
    remedy: 'Name the service account by --service-account.',
  });
}

/** The service that a name stands for to a caller: by its canonical name or an alias, else by the closest wildcard. */
export function serviceOf(mesh: Mesh, host: string, namespace: string): Service | undefined {
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
    ? [...mesh.services.values()].find(
        ({ addresses = [], namespace, exportTo = [] }) =>
          addresses.includes(request.host) && isVisible(exportTo, namespace, caller.namespace),
      )
    : serviceOf(mesh, request.host, caller.namespace);
  const named: readonly NamedUpstream[] =
    service === undefined || service.host.includes('*')
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
    address: isAddress ? request.host : (named[0]?.addresses[0] ?? ELSEWHERE),
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
