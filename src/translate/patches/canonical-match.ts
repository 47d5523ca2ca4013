/** Names of resources in a patch's match with the further names of services, as Istio's users write them, made canonical. */
import type { EnvoyFilter, EnvoyPatch } from '../../model/envoy-filter.ts';
import { canonicalHost, DEFAULT_NAMESPACE } from '../../model/host-names.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';

type Names = Pick<MeshConfig, 'serviceHosts'>;

function canonical(config: Names, host: string): string {
  return host.includes('.') ? canonicalHost(config, host, DEFAULT_NAMESPACE) : host;
}

/** `reviews.default.svc.cluster.local:9080`. */
function hostAndPort(config: Names, name: string): string {
  const end = name.lastIndexOf(':');
  return end === -1 ? name : `${canonical(config, name.slice(0, end))}${name.slice(end)}`;
}

/** `outbound|9080||reviews.default.svc.cluster.local`. */
function clusterName(config: Names, name: string): string {
  const start = name.lastIndexOf('|') + 1;
  return `${name.slice(0, start)}${canonical(config, name.slice(start))}`;
}

function withCanonicalMatch(config: Names, patch: EnvoyPatch): EnvoyPatch {
  const { routeConfiguration: routes, cluster } = patch.match;
  const vhost = routes?.vhost;
  if (routes?.name === undefined && vhost?.name === undefined && cluster?.name === undefined) return patch;
  return {
    ...patch,
    match: {
      ...patch.match,
      ...(cluster?.name !== undefined && { cluster: { ...cluster, name: clusterName(config, cluster.name) } }),
      ...(routes !== undefined && {
        routeConfiguration: {
          ...routes,
          ...(routes.name !== undefined && { name: hostAndPort(config, routes.name) }),
          ...(vhost?.name !== undefined && { vhost: { ...vhost, name: hostAndPort(config, vhost.name) } }),
        },
      }),
    },
  };
}

/** The filter with canonical names in what its patches are for; the same object where nothing changes. */
export function withCanonicalMatches(config: Names, filter: EnvoyFilter): EnvoyFilter {
  const patches = filter.patches.map((patch) => withCanonicalMatch(config, patch));
  return patches.every((patch, i) => patch === filter.patches[i]) ? filter : { ...filter, patches };
}
