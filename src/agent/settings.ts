/** agent.yaml as the rest of the agent sees it: complete, typed, readonly. `settings-load.ts` makes it. */
import type { Mode, SocketAddress, SocketPath } from '../model/host.ts';
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
    /** The fleet's configuration in Consul; undefined: this host takes none. */
    readonly fleet?: FleetSettings | undefined;
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
  /** Of callers that are no service of this host; each service says its own. */
  readonly mode: Mode;
  readonly services: readonly ServiceSettings[];
  readonly upstreams: readonly UpstreamSettings[];
  readonly gateways: readonly GatewaySettings[];
  /**
   * Whose identity calls carry that cannot be told apart; undefined where there are none, or several that are each told
   * apart, or no certificates.
   */
  readonly callAs: Account | undefined;
  readonly capture: CaptureSettings;
  readonly dns: {
    readonly enabled: boolean;
    readonly listen: SocketAddress;
    /** Ranges (`address/length`) of the addresses of services that are called by name. */
    readonly addresses: readonly string[];
  };
  /** Services that are learnt when they are first called. */
  readonly discovery: {
    readonly onDemand: boolean;
    readonly keepForMs: number;
    readonly max: number;
    /** Undefined: none. */
    readonly proxy: SocketAddress | undefined;
  };
  readonly envoy: {
    /** Undefined: found beside the program, then on PATH. */
    readonly binary: string | undefined;
    /** `systemd`: a unit of its own, which the agent neither starts nor ends. */
    readonly launcher: 'agent' | 'systemd';
    /** Folder of Envoy's sockets. */
    readonly runDir: string;
    readonly concurrency: number;
    /** Whether agent.yaml says so, and not the number of cores. */
    readonly concurrencyGiven: boolean;
    readonly healthListener: SocketAddress;
    readonly drainTimeMs: number;
    /** How long the old way in to a service stays open after the new one is registered. */
    readonly lingerTimeMs: number;
  };
  readonly paths: {
    readonly state: string;
    readonly run: string;
    /** Of folders with certificates. */
    readonly credentials: string;
  };
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' };
}

export interface FleetSettings {
  /** File with the public keys of the configuration's root. */
  readonly trustFile: string;
  /** Namespaces that are followed beside those that follow from what this host runs and calls. */
  readonly namespaces: readonly string[];
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
  /** A WorkloadGroup of its namespace, which says what is not said here. */
  readonly workloadGroup?: string;
  readonly mode: Mode;
  /** Undefined: the service only calls others. */
  readonly inbound: InboundSettings | undefined;
  /** Whose calls are this service's; undefined: they cannot be told from others. */
  readonly caller: CallerMatch | undefined;
  /** Undefined: nothing is checked. */
  readonly check: CheckSettings | undefined;
  readonly deregisterCriticalServiceAfterMs: number;
}

export interface InboundSettings {
  /** By which peers know the service, and which they dial while it is behind Envoy. */
  readonly port: number;
  readonly protocol: Protocol;
  readonly application: SocketAddress;
  /** How connections to `port` are captured; undefined: Envoy itself listens on it. */
  readonly capture: 'redirect' | 'tproxy' | undefined;
}

/** The processes that are one caller. */
export type CallerMatch =
  /** Those of a systemd unit. */
  | { readonly unit: string }
  /** Those of a user: name or number. */
  | { readonly user: string };

export interface CaptureSettings {
  readonly outbound: 'none' | 'listed' | 'host';
  readonly exclude: {
    readonly ports: readonly number[];
    /** Addresses and ranges. */
    readonly addresses: readonly string[];
    /** Names and numbers. */
    readonly users: readonly string[];
    readonly interfaces: readonly string[];
  };
  /** Calls that come in there are captured. */
  readonly interfaces: readonly string[];
  readonly onProxyFailure: {
    /** Undefined: `deny` where STRICT applies, else `direct`. */
    readonly inbound: 'deny' | 'direct' | undefined;
    readonly outbound: 'direct' | 'deny';
  };
}

interface PolledCheck {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Where another port of the application is asked than that of the service. */
  readonly port?: number;
  /** Results in a row that are believed; absent: one. */
  readonly successesBeforePassing?: number;
  readonly failuresBeforeCritical?: number;
}

/** `http`, `tcp` and `grpc` are made by Consul on `inbound.application`; `command` by the agent; `ttl` by the application. */
export type CheckSettings =
  | (PolledCheck & {
      readonly kind: 'http';
      readonly path: string;
      readonly scheme?: 'http' | 'https';
      readonly headers?: readonly { readonly name: string; readonly value: string }[];
    })
  | (PolledCheck & { readonly kind: 'tcp' })
  | (PolledCheck & { readonly kind: 'grpc'; readonly service: string })
  | {
      readonly kind: 'command';
      readonly command: readonly string[];
      readonly intervalMs: number;
      readonly timeoutMs: number;
    }
  | { readonly kind: 'ttl'; readonly ttlMs: number };

/** This host as a gateway. */
export interface GatewaySettings {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Those given by convention included. */
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
  /** Where Envoy listens, by the port that a Gateway names. */
  readonly ports: Readonly<Record<number, number>>;
  /** Undefined, here and below: as the mesh configuration says. */
  readonly trustedProxies: number | undefined;
  readonly proxyProtocol: boolean | undefined;
  /** Undefined: it is not registered. */
  readonly register: { readonly port: number; readonly protocol: Protocol; readonly mutualTls: boolean } | undefined;
}

export interface UpstreamSettings {
  readonly service: ServiceReference;
  /** The service's port; undefined: its only one. */
  readonly port: number | undefined;
  /** Undefined: it is called by its name. */
  readonly listen: SocketAddress | SocketPath | undefined;
  /** Whose identity its calls carry; undefined: `AgentSettings.callAs`. */
  readonly callAs: Account | undefined;
}
