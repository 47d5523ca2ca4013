/** EnvoyFilter: changes of what translation has made, patch by patch. */
import type { SourceLocation } from './diagnostic.ts';
import type { ResourceMeta } from './resource-meta.ts';

export interface EnvoyFilter {
  readonly meta: ResourceMeta;
  /** Undefined: all workloads of its namespace (in the root namespace: of the mesh). */
  readonly workloadSelector: Readonly<Record<string, string>> | undefined;
  /** Lower ones are applied first. */
  readonly priority: number;
  readonly patches: readonly EnvoyPatch[];
}

export type PatchTarget =
  | 'LISTENER'
  | 'LISTENER_FILTER'
  | 'FILTER_CHAIN'
  | 'NETWORK_FILTER'
  | 'HTTP_FILTER'
  | 'ROUTE_CONFIGURATION'
  | 'VIRTUAL_HOST'
  | 'HTTP_ROUTE'
  | 'CLUSTER'
  | 'EXTENSION_CONFIG'
  | 'BOOTSTRAP';

export type PatchOperation =
  | 'MERGE'
  | 'MERGE_AND_REPLACE_LIST'
  | 'ADD'
  | 'REMOVE'
  | 'INSERT_BEFORE'
  | 'INSERT_AFTER'
  | 'INSERT_FIRST'
  | 'REPLACE';

export interface EnvoyPatch {
  readonly applyTo: PatchTarget;
  readonly context: 'ANY' | 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND' | 'GATEWAY';
  /** Undefined members: any. */
  readonly match: PatchMatch;
  readonly operation: PatchOperation;
  readonly source: SourceLocation;
  /** Envoy's own JSON form; undefined for REMOVE. */
  readonly value: unknown;
}

/** What a patch is for, besides its target and context; one of the three at most. */
export interface PatchMatch {
  readonly listener?: ListenerMatch | undefined;
  readonly routeConfiguration?: RouteConfigurationMatch | undefined;
  readonly cluster?: ClusterMatch | undefined;
}

export interface ListenerMatch {
  /** The listener's port, or that to which captured connections were going, or that of the service that is called. */
  readonly portNumber?: number | undefined;
  readonly name?: string | undefined;
  readonly listenerFilter?: string | undefined;
  readonly filterChain?:
    | {
        readonly name?: string | undefined;
        readonly sni?: string | undefined;
        readonly transportProtocol?: string | undefined;
        /** Comma separated: one of them. */
        readonly applicationProtocols?: string | undefined;
        readonly destinationPort?: number | undefined;
        readonly filter?:
          | {
              readonly name?: string | undefined;
              readonly subFilter?: { readonly name?: string | undefined } | undefined;
            }
          | undefined;
      }
    | undefined;
}

export interface RouteConfigurationMatch {
  readonly portNumber?: number | undefined;
  readonly portName?: string | undefined;
  /** `namespace/name`. */
  readonly gateway?: string | undefined;
  readonly name?: string | undefined;
  readonly vhost?:
    | {
        readonly name?: string | undefined;
        readonly domainName?: string | undefined;
        readonly route?:
          | {
              readonly name?: string | undefined;
              readonly action?: 'ANY' | 'ROUTE' | 'REDIRECT' | 'DIRECT_RESPONSE' | undefined;
            }
          | undefined;
      }
    | undefined;
}

export interface ClusterMatch {
  readonly portNumber?: number | undefined;
  /** Canonical host, or as written. */
  readonly service?: string | undefined;
  readonly subset?: string | undefined;
  /** Given: the others do not count. */
  readonly name?: string | undefined;
}
