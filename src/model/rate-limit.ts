/** RateLimit (`trysail.dev/v1`): how many requests the instances of a service take. */
import type { ResourceMeta } from './resource-meta.ts';
import type { StringMatch } from './virtual-service.ts';

export interface RateLimit {
  readonly meta: ResourceMeta;
  /** The service that is protected: canonical host. */
  readonly host: string;
  /** Ports of the service that it is for; empty: all. */
  readonly ports: readonly number[];
  /** Every limit whose conditions hold counts a request; the first that is used up refuses it. */
  readonly limits: readonly Limit[];
  /** Limits are looked up there instead of counted here. Undefined: counted on the host (`scope` of the limit). */
  readonly server: RateLimitServer | undefined;
}

export interface Limit {
  /** Names it in statistics; unique in the resource. */
  readonly name: string;
  /** Alternatives; empty: every request. */
  readonly match: readonly LimitMatch[];
  /** A bucket for each value of these; empty: one bucket for all. */
  readonly by: readonly LimitKey[];
  readonly requests: number;
  readonly unit: 'SECOND' | 'MINUTE' | 'HOUR' | 'DAY';
  /** Requests that may come at once; undefined: `requests`. */
  readonly burst: number | undefined;
  /**
   * `instance`: each instance takes that many. `fleet`: the live instances together do, each its share of them.
   */
  readonly scope: 'instance' | 'fleet';
  /** Requests that it counts are let through: to see what it would do. */
  readonly dryRun: boolean;
}

/** Conditions that must all hold. */
export interface LimitMatch {
  readonly path: StringMatch | undefined;
  readonly method: StringMatch | undefined;
  readonly headers: Readonly<Record<string, StringMatch>>;
  /** SPIFFE ids, or their tails such as `ns/shop/sa/web`; empty: anybody. */
  readonly callers: readonly string[];
}

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
  readonly port: number;
  readonly domain: string;
  readonly timeoutMs: number;
  /** Whether requests are refused while it does not answer. */
  readonly failClosed: boolean;
}
