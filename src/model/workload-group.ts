/** WorkloadGroup: what the instances of one kind have in common, so that hosts need not repeat it. */
import type { ResourceMeta } from './resource-meta.ts';

export interface WorkloadGroup {
  readonly meta: ResourceMeta;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** By port name. */
  readonly ports: Readonly<Record<string, number>>;
  readonly serviceAccount: string | undefined;
  readonly network: string | undefined;
  /** `region/zone/subzone`. */
  readonly locality: string | undefined;
  readonly weight: number | undefined;
  readonly probe: WorkloadProbe | undefined;
}

export interface WorkloadProbe {
  readonly initialDelayMs: number;
  readonly timeoutMs: number;
  readonly periodMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
  readonly check:
    | {
        readonly kind: 'http';
        readonly path: string;
        readonly port: number;
        readonly host: string | undefined;
        readonly scheme: 'HTTP' | 'HTTPS';
        readonly headers: readonly { readonly name: string; readonly value: string }[];
      }
    | { readonly kind: 'tcp'; readonly host: string | undefined; readonly port: number }
    | { readonly kind: 'exec'; readonly command: readonly string[] }
    | { readonly kind: 'grpc'; readonly port: number; readonly service: string | undefined };
}
