/**
 * How the endpoints of a cluster stand to each other by where they are: which come first, and which shares they get.
 * https://istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting
 */
import type { LoadBalancer, LocalityLoadBalancing, TrafficPolicyBlocks } from '../../model/destination-rule.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { Endpoint, Locality } from '../../model/service.ts';
import { distance } from './locality-priority.ts';

type Labels = Readonly<Record<string, string>>;

/** Where the client is, and what of it labels say. */
export interface Place {
  readonly locality: Locality;
  readonly labels: Labels;
}

/**
 * - `shares`: each pattern of localities gets its percents; endpoints outside of all get nothing.
 * - `failover`: endpoints of a higher tier get requests as far as those of lower ones fail.
 */
export type LocalitySpread =
  | { readonly kind: 'shares'; readonly to: Readonly<Record<string, number>> }
  | { readonly kind: 'failover'; readonly tier: (endpoint: Endpoint) => number; readonly key: string };

/** The setting in force: the rule's whole, else the mesh's; undefined where locality is not to count. */
function settingOf(
  loadBalancer: LoadBalancer | undefined,
  { localityLbSetting }: Pick<MeshConfig, 'localityLbSetting'>,
): LocalityLoadBalancing | undefined {
  const DEFAULT = { enabled: true, distribute: [], failover: [], failoverPriority: [] };
  const setting = loadBalancer?.locality ?? localityLbSetting ?? DEFAULT;
  return setting.enabled ? setting : undefined;
}

/** Whether a pattern such as `us/a`, `us/a/*` or `*` covers the locality. */
export function coversLocality(pattern: string, { region, zone, subzone }: Locality): boolean {
  const parts = [region, zone, subzone];
  return pattern.split('/').every((step, i) => step === '*' || step === parts[i]);
}

/** Labels that say where something is, where it does not have them itself. */
function withTopology(labels: Labels, { region, zone, subzone }: Locality, network: string | undefined): Labels {
  const place = {
    'topology.kubernetes.io/region': region,
    'topology.kubernetes.io/zone': zone,
    'topology.istio.io/subzone': subzone,
    'topology.istio.io/network': network ?? '',
  };
  return { ...place, ...labels };
}

/** How many labels, from the first, an endpoint does not share with the client: 0 is the nearest tier. */
function tierByLabels(priority: readonly string[], client: Labels, endpoint: Labels): number {
  const differs = priority.findIndex((entry) => {
    const [key = '', ...value] = entry.split('=');
    const wanted = value.length > 0 ? value.join('=') : client[key];
    return (endpoint[key] ?? '') !== (wanted ?? '');
  });
  return differs < 0 ? 0 : priority.length - differs;
}

/** A region that a failover names comes before others. */
function tierByLocality(from: Locality, to: Locality, next: ReadonlySet<string>): number {
  const tier = distance(from, to);
  return tier === 3 && next.size > 0 && !next.has(to.region) ? 4 : tier;
}

/**
 * Undefined: all localities alike. Without outlier detection Envoy would not learn that the nearest endpoints fail, so
 * that nothing fails over.
 */
export function localitySpread(
  { loadBalancer, outlierDetection }: Pick<TrafficPolicyBlocks, 'loadBalancer' | 'outlierDetection'>,
  config: Pick<MeshConfig, 'localityLbSetting'>,
  { locality, labels }: Place,
): LocalitySpread | undefined {
  const setting = settingOf(loadBalancer, config);
  if (setting === undefined) return undefined;
  const { distribute, failover, failoverPriority } = setting;
  if (distribute.length > 0) {
    const shares = locality.region === '' ? undefined : distribute.find(({ from }) => coversLocality(from, locality));
    return shares === undefined ? undefined : { kind: 'shares', to: shares.to };
  }
  if (outlierDetection === undefined) return undefined;
  const byPlace = locality.region !== '' && (failoverPriority.length === 0 || failover.length > 0);
  if (failoverPriority.length === 0 && !byPlace) return undefined;
  const next = new Set(failover.filter(({ from }) => from === locality.region).map(({ to }) => to));
  const own = withTopology(labels, locality, undefined);
  const tier = (endpoint: Endpoint): number => {
    if (failoverPriority.length === 0) return tierByLocality(locality, endpoint.locality, next);
    const network = own['topology.istio.io/network'] === '' ? '' : endpoint.network;
    const other = withTopology(endpoint.labels, endpoint.locality, network);
    // Labels first: a tier of theirs is worth more than any distance.
    return (
      tierByLabels(failoverPriority, own, other) * 8 + (byPlace ? tierByLocality(locality, endpoint.locality, next) : 0)
    );
  };
  const wanted = failoverPriority.map((entry) => own[entry]);
  const place = byPlace ? [locality.region, locality.zone, locality.subzone] : [];
  return { kind: 'failover', tier, key: JSON.stringify([failoverPriority, wanted, [...next], place]) };
}

/** The same text for spreads that say the same. */
export function spreadKey(spread: LocalitySpread | undefined): string {
  if (spread === undefined) return '';
  return spread.kind === 'failover' ? spread.key : JSON.stringify(spread.to);
}
