/** What the processes of the xDS benchmark say to each other. Times are nanoseconds of the machine's monotonic clock. */

export type XdsMode = 'delta' | 'sotw';

export interface XdsCase {
  readonly mode: XdsMode;
  readonly clusters: number;
  readonly subscribers: number;
  readonly updates: number;
}

/** From the server process. */
export type ServerMessage =
  | { readonly kind: 'listening' }
  | { readonly kind: 'updated'; readonly at: string }
  | { readonly kind: 'usage'; readonly cpuMs: number; readonly rssMb: number; readonly acknowledged: number };

/** To the server process. */
export type ServerCommand = { readonly kind: 'update' } | { readonly kind: 'usage' };

/** From the process of the subscribers: when each of them had the last response that the server sent to all. */
export type SubscriberMessage =
  | { readonly kind: 'synced' }
  | { readonly kind: 'received'; readonly at: readonly string[] };

export const clusterName = (index: number): string => `outbound|9080||service-${index}.default.mesh`;
