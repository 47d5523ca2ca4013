/** Which services are used, by what Envoy counts: connections and requests to where they are called, and to their clusters. */
import type { Host } from '../model/host.ts';

/** One question for all services. */
function filterOf(clusters: string): string {
  return String.raw`^(listener\..*\.downstream_cx_(total|active)|http\.outbound_.*\.downstream_rq_total|cluster\.${clusters}.*\.upstream_(cx_total|cx_active|rq_total))$`;
}

/** `cluster.outbound|9080|v1|reviews.default.mesh;.upstream_rq_total`, also with a client behind the host. */
const OF_CLUSTER = /^cluster\.(?:outbound|observe)\|\d+\|[^|]*\|([^;~]+)[^;]*;\./;

/**
 * The services of `hosts` that were used since `before`, or are in use.
 * @param stats Envoy's counters whose name matches
 * @param hostsOf whose cluster a counter is of, where the mesh configuration names clusters; absent: they say it
 */
export async function usedServices(
  { namedUpstreams = [] }: Pick<Host, 'namedUpstreams'>,
  hosts: readonly string[],
  before: ReadonlyMap<string, number>,
  stats: (filter: string) => Promise<ReadonlyMap<string, number>>,
  hostsOf?: (counter: string) => readonly string[],
): Promise<{ readonly used: ReadonlySet<string>; readonly counters: ReadonlyMap<string, number> }> {
  const counters = await stats(filterOf(hostsOf === undefined ? String.raw`(outbound|observe)\|` : ''));
  const wanted = new Set(hosts);
  const byAddress = new Map(
    namedUpstreams.flatMap(({ serviceHost, addresses }) => addresses.map((address) => [address, serviceHost] as const)),
  );
  // Captured connections have one listener for all services: there those to the service's instances count.
  const withListener = new Set([...counters.keys()].flatMap((name) => byListener(name, byAddress) ?? []));
  const used = new Set<string>();
  for (const [name, value] of counters) {
    const isNew = value > (before.get(name) ?? 0);
    const own = OF_CLUSTER.exec(name)?.[1];
    const ofCluster = own === undefined ? (hostsOf?.(name) ?? []) : [own];
    const address = ofCluster.length > 0 ? undefined : byAddress.get(addressOf(name) ?? '');
    for (const host of address === undefined ? ofCluster : [address]) {
      if (!wanted.has(host)) continue;
      const isActive = name.endsWith('_active') && value > 0 && (host === address || !withListener.has(host));
      if (isActive || (isNew && !name.endsWith('_active'))) used.add(host);
    }
  }
  return { used, counters };
}

function byListener(name: string, byAddress: ReadonlyMap<string, string>): string | undefined {
  return name.startsWith('listener.') ? byAddress.get(addressOf(name) ?? '') : undefined;
}

/** `listener.127.240.0.1_9080.downstream_cx_total`, `http.outbound_127.240.0.1_9080;.downstream_rq_total`. */
function addressOf(name: string): string | undefined {
  return /^(?:listener\.|http\.outbound_)(.+)_\d+;?\.downstream/.exec(name)?.[1];
}
