/** Which gateway a question is about, and the answer of it. */
import { TrysailError } from '../lib/errors.ts';
import { nearest } from '../lib/nearest.ts';
import type { Explanation } from '../model/explanation.ts';
import type { GatewayRole, Host } from '../model/host.ts';
import { canonicalHost, DEFAULT_NAMESPACE } from '../model/host-names.ts';
import type { Mesh } from '../model/mesh.ts';
import { mergeServers } from '../translate/gateway/gateway-servers.ts';
import type { CalledRequest } from './called-request.ts';
import type { Configuration } from './configuration.ts';
import { type DescribedWorkload, NO_LOCALITY } from './described-workload.ts';
import { explainAtGateway } from './explain-gateway.ts';
import { CREDENTIALS_FOLDER, callerIdentity } from './explain-host.ts';

/** `namespace/name`, or `name` of namespace `default`. */
function fullName(written: string): string {
  return written.includes('/') ? written : `${DEFAULT_NAMESPACE}/${written}`;
}

function unknown(wanted: string, known: readonly string[], where: string): TrysailError {
  const similar = nearest(wanted, known);
  return new TrysailError('GATEWAY_UNKNOWN', `there is no gateway ${wanted} ${where}`, {
    remedy:
      similar !== undefined
        ? `Did you mean "${similar}"?`
        : known.length === 0
          ? 'Write a Gateway, or ask without --gateway.'
          : `Name one of: ${known.join(', ')}.`,
  });
}

/** The Gateways that a role serves, as `namespace/name`. */
function served(mesh: Mesh, role: GatewayRole): readonly string[] {
  const bound = mergeServers(mesh.gateways, role).ports.flatMap(({ servers }) => servers);
  return [...new Set(bound.map(({ gateway }) => gateway))];
}

/**
 * Answers from files: the gateway is a host that fulfils the selector of the Gateway of that name, or is described.
 * @throws TrysailError `GATEWAY_UNKNOWN`, `WORKLOAD_UNKNOWN` where its names make no identity
 */
export function explainGatewayOffline(
  { mesh }: Configuration,
  written: string,
  described: DescribedWorkload | undefined,
  request: CalledRequest,
): Explanation {
  const wanted = fullName(written);
  const idOf = ({ meta }: Mesh['gateways'][number]): string => `${meta.namespace}/${meta.name}`;
  const gateway = mesh.gateways.find((one) => idOf(one) === wanted);
  if (gateway === undefined) throw unknown(wanted, mesh.gateways.map(idOf), 'in these files');
  const labels = described === undefined || Object.keys(described.labels).length === 0 ? undefined : described.labels;
  const { namespace, name = gateway.meta.name } = described ?? gateway.meta;
  const serviceAccount = described?.serviceAccount ?? name;
  const role: GatewayRole = {
    namespace,
    name,
    serviceHost: canonicalHost(mesh.config, name, namespace),
    labels: labels ?? gateway.selector,
    identity: callerIdentity(mesh, namespace, serviceAccount),
    address: '0.0.0.0',
  };
  const locality = described?.locality ?? NO_LOCALITY;
  return explainAtGateway(mesh, { locality, credentialsFolder: CREDENTIALS_FOLDER }, role, request);
}

/**
 * Answers from the mesh that a host works with: one of its gateways, by its own name or that of a Gateway that it serves.
 * @throws TrysailError `GATEWAY_UNKNOWN`
 */
export function explainGatewayOnHost(mesh: Mesh, host: Host, written: string, request: CalledRequest): Explanation {
  const wanted = fullName(written);
  const { gateways: roles = [] } = host;
  const role =
    roles.find(({ namespace, name }) => `${namespace}/${name}` === wanted) ??
    roles.find((one) => served(mesh, one).includes(wanted));
  if (role === undefined) {
    const known = roles.flatMap((one) => [`${one.namespace}/${one.name}`, ...served(mesh, one)]);
    throw unknown(wanted, [...new Set(known)], 'on this host');
  }
  return explainAtGateway(mesh, host, role, request);
}
