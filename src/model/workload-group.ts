/** WorkloadGroup: what the instances of one kind have in common, so that hosts need not repeat it. */
import type { ResourceMeta } from './resource-meta.ts';

export interface WorkloadGroup {
  readonly meta: ResourceMeta;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined: as `agent.yaml` says. Never decides who a workload is: that is between its host and the CA. */
  readonly serviceAccount: string | undefined;
  readonly weight: number | undefined;
  readonly probe: WorkloadProbe | undefined;
}

export interface WorkloadProbe {
  readonly timeoutMs: number;
  readonly periodMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
  /** Of the application, at its port on this host. */
  readonly check:
    | {
        readonly kind: 'http';
        readonly path: string;
        readonly port: number;
        readonly scheme: 'http' | 'https';
        readonly headers: readonly { readonly name: string; readonly value: string }[];
      }
    | { readonly kind: 'tcp'; readonly port: number }
    | { readonly kind: 'grpc'; readonly port: number; readonly service: string };
}
