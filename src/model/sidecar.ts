/** Sidecar: what a workload takes in and what it sees of the mesh. */
import type { ConnectionPool } from './destination-rule.ts';
import type { ServerTls } from './gateway.ts';
import type { ResourceMeta } from './resource-meta.ts';
import type { Protocol } from './service.ts';

export interface Sidecar {
  readonly meta: ResourceMeta;
  /** Labels of the workloads that it is for; undefined: all of its namespace (in the root namespace: of the mesh). */
  readonly workloadSelector: Readonly<Record<string, string>> | undefined;
  readonly ingress: readonly SidecarIngress[];
  /** Undefined: everything (all hosts of all namespaces). */
  readonly egress: readonly SidecarEgress[] | undefined;
  readonly inboundConnectionPool: ConnectionPool | undefined;
  /** Undefined: the mesh's. */
  readonly outboundTrafficPolicy: OutboundTrafficPolicy | undefined;
}

export interface SidecarPort {
  readonly number: number;
  readonly name: string;
  readonly protocol: Protocol;
}

export type CaptureMode = 'DEFAULT' | 'IPTABLES' | 'NONE';

export interface SidecarIngress {
  readonly port: SidecarPort;
  readonly bind: string | undefined;
  readonly captureMode: CaptureMode;
  /** `127.0.0.1:8080`, `0.0.0.0:8080`, `[::1]:8080`, `unix:///run/app.sock`; undefined: where the connection was going. */
  readonly defaultEndpoint: string | undefined;
  readonly tls: ServerTls | undefined;
  readonly connectionPool: ConnectionPool | undefined;
}

export interface SidecarEgress {
  /** Undefined: all ports that no other listener of the Sidecar names. */
  readonly port: SidecarPort | undefined;
  /** Address, or `unix:///path`. */
  readonly bind: string | undefined;
  readonly captureMode: CaptureMode;
  readonly hosts: readonly SidecarHost[];
}

/** One `namespace/host` of an egress listener. */
export interface SidecarHost {
  /** A name, `*`, `~` (none), or `.`: that of the workload, which for a Sidecar of the root namespace is not its own. */
  readonly namespace: string;
  /** Canonical name, `*.suffix` or `*`. */
  readonly host: string;
  /** Whether it takes away from what the others import (written `~namespace/host`). */
  readonly excluded: boolean;
}

export interface OutboundTrafficPolicy {
  readonly mode: 'ALLOW_ANY' | 'REGISTRY_ONLY' | 'ALLOW_ANY_DYNAMIC_DNS';
  /** Where traffic to unknown hosts goes instead. */
  readonly egressProxy?: {
    readonly host: string;
    readonly subset: string | undefined;
    readonly port: number | undefined;
  };
}
