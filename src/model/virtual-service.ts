/** VirtualService as translation needs it: hosts completed to canonical names, durations in milliseconds. */
import type { SourceLocation } from './diagnostic.ts';
import type { ResourceMeta } from './resource-meta.ts';

export interface VirtualService {
  readonly meta: ResourceMeta;
  /** Canonical host names, wildcards such as `*.default.mesh`, or `*` (at gateways alone). Empty: a delegate. */
  readonly hosts: readonly string[];
  /** Where it holds: `mesh` or gateways as `namespace/name`. Absent: `mesh` alone. */
  readonly gateways?: readonly string[];
  /** First match wins. Delegates are merged in already. */
  readonly http: readonly HttpRoute[];
  /** Routes of TLS connections by their server name; first match wins. */
  readonly tls?: readonly TlsRoute[];
  /** Routes of TCP connections; first match wins. */
  readonly tcp?: readonly TcpRoute[];
  readonly exportTo: readonly string[];
}

/** The gateway that stands for all workloads of the mesh. */
export const MESH_GATEWAY = 'mesh';

/** Which clients a rule is for. */
export interface SourceConditions {
  /** Labels that the calling workload must have. */
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string;
  /** `mesh` or gateways as `namespace/name`; absent: those of the VirtualService. */
  readonly gateways?: readonly string[];
}

/** Conditions that must all hold for a connection. */
export interface TcpMatch extends SourceConditions {
  /** CIDR ranges, or addresses, of which one must hold the destination; empty: any. */
  readonly destinationSubnets: readonly string[];
  /** The service port that was called. */
  readonly port: number | undefined;
}

export interface TcpRoute {
  /** Alternatives; empty matches everything. */
  readonly match: readonly TcpMatch[];
  readonly destinations: readonly RouteDestination[];
  /** Where it is written; `line` is that of the route itself. */
  readonly source?: SourceLocation;
}

export interface TlsRoute {
  /** Alternatives; at least one. */
  readonly match: readonly (TcpMatch & { readonly sniHosts: readonly string[] })[];
  readonly destinations: readonly RouteDestination[];
  /** Where it is written; `line` is that of the route itself. */
  readonly source?: SourceLocation;
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
  /** Empty exactly where `redirect` or `directResponse` answers instead, or in a root route that `delegate` replaces. */
  readonly destinations: readonly RouteDestination[];
  readonly redirect?: Redirect;
  readonly directResponse?: DirectResponse;
  /** The VirtualService whose routes take the place of this one; gone once delegates are merged. */
  readonly delegate?: { readonly namespace: string; readonly name: string };
  readonly rewrite?: Rewrite;
  /** Undefined: no time limit. */
  readonly timeoutMs: number | undefined;
  /** Undefined: the default retries of the mesh. */
  readonly retries: RetryPolicy | undefined;
  readonly fault?: Fault;
  readonly mirrors?: readonly Mirror[];
  readonly cors?: CorsPolicy;
  /** Applied before those of a destination. */
  readonly headers?: HeaderOperations;
  /** Where it was written, for explanations; `source.line` is that of the route itself. */
  readonly source?: SourceLocation;
}

/** `set` overwrites, `add` appends. Names as written. */
export interface HeaderChanges {
  readonly set: Readonly<Record<string, string>>;
  readonly add: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

export interface HeaderOperations {
  readonly request?: HeaderChanges;
  readonly response?: HeaderChanges;
}

export interface Rewrite {
  /** Replaces the prefix of a prefix match, else the whole path. */
  readonly uri?: string;
  /** RE2 pattern and its substitution (`\\1`). Excludes `uri`. */
  readonly uriRegex?: { readonly match: string; readonly rewrite: string };
  readonly authority?: string;
}

export interface Redirect {
  /** Replaces the whole path. Excludes `prefixRewrite`. */
  readonly uri?: string;
  readonly prefixRewrite?: string;
  readonly authority?: string;
  readonly scheme?: string;
  /** A number, or where it comes from; absent: as Envoy takes it from the request's authority. */
  readonly port?: number | 'FROM_PROTOCOL_DEFAULT' | 'FROM_REQUEST_PORT';
  readonly code: 301 | 302 | 303 | 307 | 308;
}

export interface DirectResponse {
  readonly status: number;
  readonly body:
    | { readonly kind: 'text'; readonly text: string }
    | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
    | undefined;
}

/** Shares in percent, 0–100. */
export interface Fault {
  readonly delay?: { readonly percent: number; readonly fixedDelayMs: number };
  readonly abort?: {
    readonly percent: number;
    readonly status:
      | { readonly kind: 'http'; readonly code: number }
      | { readonly kind: 'grpc'; readonly code: number };
  };
}

export interface Mirror {
  readonly destination: Omit<RouteDestination, 'weight' | 'headers'>;
  /** 0–100. */
  readonly percent: number;
}

export interface CorsPolicy {
  readonly allowOrigins: readonly StringMatch[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeMs: number | undefined;
  /** Undefined: the header is not sent. */
  readonly allowCredentials: boolean | undefined;
  readonly unmatchedPreflights: 'FORWARD' | 'IGNORE';
}

/** Conditions that must all hold. */
export interface HttpMatch extends SourceConditions {
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
  /** Prefix of statistics of their own for the requests that match. */
  readonly statPrefix?: string;
}

export interface RouteDestination {
  /** Canonical host name. */
  readonly host: string;
  readonly subset: string | undefined;
  /** Undefined: the service's only port, else the port that the request was sent to. */
  readonly port: number | undefined;
  /** Share among the route's destinations; they need not total 100. */
  readonly weight: number;
  readonly headers?: HeaderOperations;
}

export interface RetryPolicy {
  /** 0 turns retries off. */
  readonly attempts: number;
  readonly perTryTimeoutMs: number | undefined;
  /** Envoy's conditions and status codes, comma separated; undefined: Istio's default. */
  readonly retryOn: string | undefined;
  readonly retryRemoteLocalities: boolean;
  /** Whether a retry goes to a host that was not tried; undefined: unless requests are hashed to hosts. */
  readonly retryIgnorePreviousHosts: boolean | undefined;
  readonly backoffMs: number | undefined;
}
