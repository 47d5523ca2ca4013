/** RateLimit (`trysail.dev/v1`): how many requests the instances of a service take, or the hosts of a gateway. */
import type { ResourceMeta } from './resource-meta.ts';
import type { StringMatch } from './virtual-service.ts';

export interface RateLimit {
  readonly meta: ResourceMeta;
  /** The service that is protected: canonical host; undefined: `gateway` is. */
  readonly host: string | undefined;
  /** At which requests are counted before anything inside sees them; absent: they are before `host`. */
  readonly gateway?: LimitedGateway;
  /** Ports of the service that it is for, or ports as the Gateway names them; empty: all. */
  readonly ports: readonly number[];
  /** Each counts the requests for which its conditions hold; whichever is used up refuses. In order. */
  readonly limits: readonly Limit[];
  /** Limits are counted there instead of on the host. Undefined: on the host (`scope` of the limit). */
  readonly server: RateLimitServer | undefined;
}

/** The part of a Gateway whose requests are counted. */
export interface LimitedGateway {
  /** The resource, `namespace/name`. */
  readonly name: string;
  /** Hosts that callers ask for: names or `*.suffix`, in lower case; empty: all. */
  readonly hosts: readonly string[];
}

/** A RateLimit at a gateway. */
export type GatewayRateLimit = RateLimit & { readonly gateway: LimitedGateway };

/** Whether requests are counted at a gateway, not before a service. */
export function isAtGateway(rateLimit: RateLimit): rateLimit is GatewayRateLimit {
  return rateLimit.gateway !== undefined;
}

/** A service or Gateway is limited by its own namespace and by the root namespace, and by nobody else. */
export function mayLimit({ meta }: Pick<RateLimit, 'meta'>, namespace: string, rootNamespace: string): boolean {
  return meta.namespace === namespace || meta.namespace === rootNamespace;
}

export interface Limit {
  /** Names it in statistics and to the server; unique in the resource. */
  readonly name: string;
  /** Alternatives; empty: every request. */
  readonly match: readonly LimitMatch[];
  /** A bucket for each combination of these values; empty: one bucket for all. */
  readonly by: readonly LimitKey[];
  readonly requests: number;
  readonly perMs: number;
  /** Requests that may come at once; undefined: `requests`. */
  readonly burst: number | undefined;
  /** `instance`: each instance, or host of a gateway, takes that many. `fleet`: the live instances together do, each its share of them. */
  readonly scope: 'instance' | 'fleet';
  /** What it would refuse is counted and let through. */
  readonly dryRun: boolean;
}

/** Conditions that must all hold. */
export interface LimitMatch {
  /** Of the path without its query. */
  readonly path: StringMatch | undefined;
  readonly method: StringMatch | undefined;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, StringMatch>>;
  /** Verified identities: whole SPIFFE ids, `ns/shop/sa/web`, or `ns/shop` for all of a namespace; empty: anybody. */
  readonly callers: readonly string[];
}

/**
 * `path` is without its query; `caller` the SPIFFE id of the peer's certificate; `remoteAddress` that of the connection, at
 * a gateway that of the client as far as it trusts who says so.
 */
export type LimitKey =
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'path' }
  | { readonly kind: 'method' }
  | { readonly kind: 'caller' }
  | { readonly kind: 'remoteAddress' };

/** A service that speaks Envoy's rate limit protocol. https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ratelimit/v3/rls.proto */
export interface RateLimitServer {
  /** Canonical host of the service. */
  readonly host: string;
  /** Undefined: its only port. */
  readonly port: number | undefined;
  readonly domain: string;
  readonly timeoutMs: number;
  /** Whether requests are refused while it does not answer. */
  readonly failClosed: boolean;
}
