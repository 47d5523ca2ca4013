/** VirtualService as translation needs it: hosts completed to canonical names, durations in milliseconds. */
import type { ResourceMeta } from './resource-meta.ts';

export interface VirtualService {
  readonly meta: ResourceMeta;
  /** Canonical host names, or wildcards such as `*.default.mesh`. */
  readonly hosts: readonly string[];
  /** First match wins. */
  readonly http: readonly HttpRoute[];
  readonly exportTo: readonly string[];
}

export type StringMatch =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  /** RE2, full match. */
  | { readonly kind: 'regex'; readonly value: string }
  | { readonly kind: 'present' };

export interface HttpRoute {
  readonly name: string | undefined;
  /** Alternatives; empty matches everything. */
  readonly match: readonly HttpMatch[];
  readonly destinations: readonly RouteDestination[];
  /** Undefined: no time limit. */
  readonly timeoutMs: number | undefined;
  /** Undefined: Istio's default retries. */
  readonly retries: RetryPolicy | undefined;
}

/** Conditions that must all hold. */
export interface HttpMatch {
  readonly name: string | undefined;
  readonly uri: StringMatch | undefined;
  readonly ignoreUriCase: boolean;
  readonly method: StringMatch | undefined;
  readonly scheme: StringMatch | undefined;
  readonly authority: StringMatch | undefined;
  readonly headers: Readonly<Record<string, StringMatch>>;
  readonly withoutHeaders: Readonly<Record<string, StringMatch>>;
  readonly queryParams: Readonly<Record<string, StringMatch>>;
  /** The service port that the request was sent to. */
  readonly port: number | undefined;
}

export interface RouteDestination {
  /** Canonical host name. */
  readonly host: string;
  readonly subset: string | undefined;
  /** Undefined: the service's only port, else the port that the request was sent to. */
  readonly port: number | undefined;
  /** Share among the route's destinations; they need not total 100. */
  readonly weight: number;
}

export interface RetryPolicy {
  /** 0 turns retries off. */
  readonly attempts: number;
  readonly perTryTimeoutMs: number | undefined;
  /** Envoy's conditions and status codes, comma separated; undefined: Istio's default. */
  readonly retryOn: string | undefined;
  readonly retryRemoteLocalities: boolean;
  readonly retryIgnorePreviousHosts: boolean;
  readonly backoffMs: number | undefined;
}
