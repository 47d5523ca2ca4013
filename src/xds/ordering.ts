/**
 * Make before break on one aggregated stream: clusters, then endpoints, then listeners, then routes, and what is no
 * longer needed last. A stage waits until the client has acknowledged what it may refer to.
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#eventual-consistency-considerations
 */
import type { PreparedResource } from './prepared-resource.ts';
import { TYPE_URL } from './resource.ts';
import type { Gate, Subscription } from './subscription.ts';
import type { Warming } from './warming.ts';

/** The order in which types are sent. Types that are not listed come last and wait for nothing. */
export const STAGES: readonly string[] = [
  TYPE_URL.secret,
  TYPE_URL.cluster,
  TYPE_URL.endpoint,
  TYPE_URL.listener,
  TYPE_URL.route,
  TYPE_URL.virtualHost,
];

/** Types whose removal breaks traffic that still refers to them. */
const REMOVED_LAST: ReadonlySet<string> = new Set([TYPE_URL.cluster, TYPE_URL.endpoint, TYPE_URL.secret]);
const REFERRING: ReadonlySet<string> = new Set([TYPE_URL.listener, TYPE_URL.route, TYPE_URL.virtualHost]);

/** Types whose resources, once changed, wait for what they refer to. */
export const FOLLOWED_BY: Readonly<Record<string, string>> = {
  [TYPE_URL.cluster]: TYPE_URL.endpoint,
  [TYPE_URL.listener]: TYPE_URL.route,
};

export interface OrderingLimits {
  /** For how long a stage waits for another at most, in milliseconds. */
  readonly stageTimeoutMs: number;
}

/** What one stream is in the middle of. */
export interface StreamState {
  readonly subscriptions: ReadonlyMap<string, Subscription>;
  readonly warming: Pick<Warming, 'isUnderWay'>;
}

/** Whether changes up to `generation` of this subscription are still to be sent, or (when `acknowledged`) to be answered. */
function isUnsettled(
  subscription: Subscription | undefined,
  generation: number,
  acknowledged: boolean,
  oldestMs: number,
): boolean {
  if (subscription === undefined) return false;
  const { upserts, inFlight } = subscription;
  if (upserts !== undefined && upserts.first <= generation && upserts.sinceMs > oldestMs) return true;
  return acknowledged && inFlight !== undefined && inFlight.generation <= generation && inFlight.sentAtMs > oldestMs;
}

function mayUpsert(typeUrl: string, generation: number, state: StreamState, oldestMs: number): boolean {
  const stage = STAGES.indexOf(typeUrl);
  switch (typeUrl) {
    case TYPE_URL.cluster:
      // The stream keeps the order; a secret need only be on its way.
      return !isUnsettled(state.subscriptions.get(TYPE_URL.secret), generation, false, oldestMs);
    case TYPE_URL.listener:
    case TYPE_URL.route:
    case TYPE_URL.virtualHost:
      return (
        !state.warming.isUnderWay(generation, oldestMs) &&
        !STAGES.slice(0, stage).some((earlier) =>
          isUnsettled(state.subscriptions.get(earlier), generation, true, oldestMs),
        )
      );
    default:
      return true;
  }
}

function mayRemove(typeUrl: string, generation: number, state: StreamState, oldestMs: number): boolean {
  if (!REMOVED_LAST.has(typeUrl)) return mayUpsert(typeUrl, generation, state, oldestMs);
  if (state.warming.isUnderWay(generation, oldestMs)) return false;
  for (const type of STAGES) {
    const other = state.subscriptions.get(type);
    if (other === undefined) continue;
    if (isUnsettled(other, generation, type !== typeUrl, oldestMs)) return false;
    const { removals } = other;
    const isEarlier = REFERRING.has(type) || (type === TYPE_URL.cluster && typeUrl !== type);
    if (isEarlier && removals !== undefined && removals.first <= generation && removals.sinceMs > oldestMs)
      return false;
    // What the client refused to replace still refers to what was to go.
    if (REFERRING.has(type) && other.hasRejected) return false;
    // So does what is kept back because its clusters were refused.
    if (REFERRING.has(type) && other.upserts !== undefined && hasRefusedCluster(state)) return false;
  }
  return true;
}

const hasRefusedCluster = (state: StreamState): boolean =>
  state.subscriptions.get(TYPE_URL.cluster)?.hasRejected === true;

/** The endpoints of clusters whose change is still to be sent. */
function endpointsAhead(clusters: Subscription | undefined, oldestMs: number): ReadonlySet<string> {
  const names = new Set<string>();
  const since = clusters?.upserts?.sinceMs;
  if (clusters === undefined || since === undefined || since <= oldestMs) return names;
  for (const cluster of clusters.pendingResources()) for (const name of cluster.references()) names.add(name);
  return names;
}

/** What `subscription` may send now. */
export function gateFor(
  subscription: Subscription,
  state: StreamState,
  { stageTimeoutMs }: OrderingLimits,
  nowMs: number,
): Gate {
  const { typeUrl } = subscription.table;
  const oldestMs = nowMs - stageTimeoutMs;
  const { upserts, removals } = subscription;
  const clusters = state.subscriptions.get(TYPE_URL.cluster);
  let holds = (_resource: PreparedResource): boolean => false;
  if (typeUrl === TYPE_URL.endpoint) {
    const ahead = endpointsAhead(clusters, oldestMs);
    if (ahead.size > 0) holds = (resource) => ahead.has(resource.name);
  } else if ((typeUrl === TYPE_URL.route || typeUrl === TYPE_URL.virtualHost) && clusters?.hasRejected === true) {
    // Routes are not warmed: one to a cluster that the client refused would fail every request.
    holds = (resource) => resource.references().some((name) => clusters.lacks(name));
  }
  return {
    upserts: upserts !== undefined && mayUpsert(typeUrl, upserts.latest, state, oldestMs),
    removals: removals !== undefined && mayRemove(typeUrl, removals.latest, state, oldestMs),
    deliveries: subscription.table.typeUrl in FOLLOWED_BY,
    holds,
  };
}
