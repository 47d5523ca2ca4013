/** The answer to "what becomes of this request?". Its JSON form is stable: docs/explain.md. */

/**
 * - `forwarded`: to one of `destinations`;
 * - `redirected`, `answered`: by Envoy itself;
 * - `not-found`: no route fits, Envoy answers 404;
 * - `passthrough`: on to where it was going, past the rules of the mesh;
 * - `refused`: the connection is closed.
 */
export type Outcome = 'forwarded' | 'redirected' | 'answered' | 'not-found' | 'passthrough' | 'refused';

export interface Explanation {
  readonly request: {
    /** `web.default`; at a gateway its name. */
    readonly from: string;
    /** Whether there is a workload of that name; else it is taken to have no labels. */
    readonly callerKnown: boolean;
    readonly kind: 'http' | 'tls' | 'tcp';
    readonly host: string;
    readonly port: number;
    readonly method: string | undefined;
    readonly path: string | undefined;
    readonly sni: string | undefined;
    /** `default/public`, where it arrives from outside; absent: a call of the mesh. */
    readonly gateway?: string;
  };
  /** Canonical name of the service that is called; undefined: the mesh knows none. */
  readonly service: string | undefined;
  /** What Envoy takes the connection for. */
  readonly protocol: 'http' | 'tcp' | undefined;
  readonly outcome: Outcome;
  /** In a sentence, where the outcome needs one. */
  readonly note: string | undefined;
  /** `VirtualService default/reviews`; undefined: none has a say. */
  readonly virtualService: string | undefined;
  /** Name of the route that takes the request; `default` where no VirtualService has a say. */
  readonly route: string | undefined;
  /** `file:line` of that route. */
  readonly source: string | undefined;
  /** This and the next ones: of the destination with the largest share, the first of several; see `destinations`. */
  readonly destination: string | undefined;
  readonly subset: string | undefined;
  readonly weight: number | undefined;
  readonly cluster: string | undefined;
  readonly policy: ExplainedPolicy | undefined;
  readonly destinations: readonly ExplainedDestination[];
  /** What the route does besides; undefined where there is no route of HTTP. */
  readonly action: RouteFacts | undefined;
  /** Routes in the order in which they were looked at. */
  readonly considered: readonly ConsideredRoute[];
  readonly ignored: readonly IgnoredVirtualService[];
  /** EnvoyFilters that patch what Envoy gets for the caller or gateway, in the order in which they do; the answer has them in it. */
  readonly envoyFilters: readonly PatchingFilter[];
  /** Those that count the request at the gateway where it arrives, in their order; absent: a call of the mesh, or no route. */
  readonly rateLimits?: readonly CountingLimit[];
}

/** A limit of a RateLimit. */
export interface CountingLimit {
  /** `RateLimit default/edge`. */
  readonly rateLimit: string;
  /** `file:line` of it. */
  readonly source: string;
  /** The name of the limit in it. */
  readonly limit: string;
  readonly requests: number;
  /** `1m`. */
  readonly per: string;
  /** What it has a bucket for each of: `remoteAddress`, `path`, `header_x-api-key`. */
  readonly by: readonly string[];
  readonly scope: 'instance' | 'fleet';
  readonly dryRun: boolean;
  /** Canonical host of the server that counts; undefined: the gateway itself. */
  readonly server: string | undefined;
  /** Whether it counts depends on the caller's certificate, which the question does not say. */
  readonly byCertificate: boolean;
}

export interface ExplainedDestination {
  /** Canonical host name. */
  readonly destination: string;
  readonly port: number;
  readonly subset: string | undefined;
  /** Share of the requests, in percent. */
  readonly weight: number;
  readonly cluster: string;
  /** Why requests fail that go there, such as `503 NC: …`; undefined: they do not. */
  readonly failure: string | undefined;
  /** Undefined where there is no such cluster. */
  readonly policy: ExplainedPolicy | undefined;
  readonly requestHeaders: HeaderFacts | undefined;
  readonly responseHeaders: HeaderFacts | undefined;
}

/** What holds for the calls to a destination. */
export interface ExplainedPolicy extends ClusterFacts {
  /** DestinationRules that say so, `DestinationRule default/reviews`, with `file:line`. */
  readonly rules: readonly { readonly rule: string; readonly source: string }[];
}

export interface ConsideredRoute {
  /** Name of the route, or `http[2]`; with that of its match, `http[2].match[0]`. */
  readonly route: string;
  /** `file:line`; empty where it is not known. */
  readonly source: string;
  /** `skipped`: it does not count for this caller and port. `unreached`: one before it takes the request. */
  readonly result: 'taken' | 'passed' | 'skipped' | 'unreached';
  /** The first condition that failed; undefined for the one that was taken. */
  readonly reason: string | undefined;
}

/** `EnvoyFilter default/buffer`. */
export interface PatchingFilter {
  readonly envoyFilter: string;
  readonly source: string;
}

/** A VirtualService for the same host that has no say. */
export interface IgnoredVirtualService {
  readonly virtualService: string;
  readonly source: string;
  readonly reason: string;
}

/** What a cluster does with the requests that reach it. */
export interface ClusterFacts {
  /** How endpoints are found: `EDS`, `STRICT_DNS`, … */
  readonly type: string;
  /** `LEAST_REQUEST`, `ROUND_ROBIN`, `RANDOM`, `RING_HASH`, `MAGLEV`, … */
  readonly loadBalancing: string;
  readonly connectTimeout: string | undefined;
  readonly tls: TlsFacts;
  /** Limits that there are; what is missing has none. */
  readonly circuitBreakers: Readonly<Record<string, number>>;
  /** Undefined: nobody is ejected. */
  readonly outlierDetection: Readonly<Record<string, string | number | boolean>> | undefined;
  /** How many endpoints there are and how many of them can be called; undefined where Envoy finds them itself. */
  readonly endpoints: { readonly total: number; readonly healthy: number } | undefined;
}

export interface TlsFacts {
  /** `mutual-or-plain`: by what the endpoint offers. */
  readonly mode: 'mutual' | 'simple' | 'plain' | 'mutual-or-plain';
  readonly sni: string | undefined;
  /** Names of which the peer's certificate must bear one. */
  readonly peers: readonly string[];
}

/** What a route does with a request, besides where it leads. */
export interface RouteFacts {
  /** Undefined: no time limit. */
  readonly timeout: string | undefined;
  /** Undefined: none. */
  readonly retries: RetryFacts | undefined;
  readonly rewrite: Rewritten | undefined;
  readonly redirect: { readonly code: number; readonly location: string } | undefined;
  readonly directResponse: { readonly status: number; readonly body: string | undefined } | undefined;
  readonly fault: FaultFacts | undefined;
  readonly mirrors: readonly { readonly cluster: string; readonly percent: number }[];
  /** Envoy's CORS policy. */
  readonly cors: Readonly<Record<string, unknown>> | undefined;
  readonly requestHeaders: HeaderFacts | undefined;
  readonly responseHeaders: HeaderFacts | undefined;
  /** What requests are spread by: `header end-user`, `cookie session`, `source address`, `query user`. */
  readonly hashBy: readonly string[];
}

export interface Rewritten {
  /** With the query; undefined: as it was, or what it becomes cannot be told. */
  readonly path: string | undefined;
  readonly authority: string | undefined;
}

export interface HeaderFacts {
  readonly set: Readonly<Record<string, string>>;
  readonly add: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

export interface RetryFacts {
  readonly attempts: number;
  /** Conditions and status codes. */
  readonly on: string;
  readonly perTryTimeout: string | undefined;
}

/** Shares in percent. */
export interface FaultFacts {
  readonly delay: { readonly percent: number; readonly time: string } | undefined;
  readonly abort: { readonly percent: number; readonly status: string } | undefined;
}
