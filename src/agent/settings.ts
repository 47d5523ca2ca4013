/** agent.yaml as the rest of the agent sees it: complete, typed, readonly. `settings-load.ts` makes it. */
import type { SocketAddress } from '../model/host.ts';
import type { Locality, Protocol } from '../model/service.ts';
import type { ServiceReference } from './setting-forms.ts';

/** All paths are absolute, all durations milliseconds. */
export interface AgentSettings {
  /** The file that it was read from; undefined: flags and environment alone. */
  readonly file: string | undefined;
  readonly host: {
    readonly name: string;
    readonly address: string;
    /** Undefined: not known. */
    readonly locality: Locality | undefined;
  };
  readonly mesh: {
    /** Path of meshconfig.yaml; undefined: defaults. */
    readonly configFile: string | undefined;
    readonly resourcesDir: string;
  };
  readonly registry: 'consul' | 'files';
  readonly consul: {
    /** `http://host:port`, `https://host:port` or `unix:///path`. */
    readonly address: string;
    readonly tokenFile: string | undefined;
    readonly caFile: string | undefined;
    readonly certFile: string | undefined;
    readonly keyFile: string | undefined;
    /** How many services of the catalogue are followed at most. */
    readonly maxWatches: number;
  };
  readonly identity: IdentitySettings;
  readonly services: readonly ServiceSettings[];
  readonly upstreams: readonly UpstreamSettings[];
  /** Whose identity upstream calls carry; undefined on a host without services or without certificates. */
  readonly callAs: Account | undefined;
  readonly envoy: {
    /** Undefined: found beside the program, then on PATH. */
    readonly binary: string | undefined;
    readonly concurrency: number;
    readonly healthListener: SocketAddress;
    readonly drainTimeMs: number;
  };
  readonly paths: { readonly state: string; readonly run: string };
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' };
}

export interface Account {
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface IdentitySettings {
  readonly provider: 'trysail-ca' | 'files' | 'none';
  readonly persist: boolean;
  readonly ca: {
    /** `host:port`; undefined: the one in the join token. */
    readonly address: string | undefined;
    /** May be gone once the host has joined. */
    readonly joinTokenFile: string | undefined;
  };
  /** Present when the provider is `files`. */
  readonly files: { readonly certificateFile: string; readonly keyFile: string; readonly rootFile: string } | undefined;
}

export interface ServiceSettings {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly version: string | undefined;
  /** `version` included. */
  readonly labels: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly weights: { readonly passing: number; readonly warning: number };
  /** Undefined: the service only calls others. */
  readonly inbound:
    | { readonly port: number; readonly protocol: Protocol; readonly application: SocketAddress }
    | undefined;
  /** Undefined: nothing is checked. */
  readonly check: CheckSettings | undefined;
  readonly deregisterCriticalServiceAfterMs: number;
}

/** `http`, `tcp` and `grpc` are made by Consul on `inbound.application`; `command` by the agent; `ttl` by the application. */
export type CheckSettings =
  | { readonly kind: 'http'; readonly path: string; readonly intervalMs: number; readonly timeoutMs: number }
  | { readonly kind: 'tcp'; readonly intervalMs: number; readonly timeoutMs: number }
  | { readonly kind: 'grpc'; readonly service: string; readonly intervalMs: number; readonly timeoutMs: number }
  | {
      readonly kind: 'command';
      readonly command: readonly string[];
      readonly intervalMs: number;
      readonly timeoutMs: number;
    }
  | { readonly kind: 'ttl'; readonly ttlMs: number };

export interface UpstreamSettings {
  readonly service: ServiceReference;
  /** The service's port; undefined: its only one. */
  readonly port: number | undefined;
  readonly listen: SocketAddress;
}
