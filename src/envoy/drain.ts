/**
 * Taking an Envoy out of traffic without breaking a request. While it drains, listeners still accept (clients that have
 * not heard of it yet must not fail) and connections are told to close; then the inbound listeners close, and what is in
 * progress may end. Outbound listeners stay: requests in progress need them.
 */
import { sleep } from '../lib/sleep.ts';
import type { AdminClient } from './admin.ts';

export interface DrainOptions {
  /** The whole drain takes at most this long. */
  readonly drainTimeMs: number;
  /** For how long listeners go on accepting although nothing is in progress: until clients know. Default 3 s. */
  readonly minimumDrainMs?: number;
  readonly signal?: AbortSignal;
}

/** How a drain ended. */
export type DrainResult =
  | { readonly kind: 'idle' }
  /** Time was up, with this many requests and TCP connections open. */
  | { readonly kind: 'timeout'; readonly active: number }
  /** The admin interface did not answer. */
  | { readonly kind: 'unreachable'; readonly error: unknown };

const POLL_MS = 50;
/** An Envoy that has to wait for its turn on a busy machine still has requests that must not be cut off. */
const CALL = { timeoutMs: 10_000 } as const;
/** A request may arrive between two looks; nothing seen this often in a row means idle. */
const QUIET_LOOKS = 3;

const ACTIVE = String.raw`^(http\.[^.]+.*\.downstream_(rq|cx)_active|listener\.[^.]+.*\.downstream_cx_active)$`;
const OURS = /^http\.(admin|health)\./;

/**
 * Requests and TCP connections in progress, health checks and admin calls aside. Idle HTTP connections are not counted:
 * they hold nobody up. Envoy has no count of open TCP connections, they are the listeners' connections without HTTP's.
 */
async function activeWork(admin: AdminClient): Promise<number> {
  let requests = 0;
  let tcpConnections = 0;
  for (const [name, value] of await admin.stats(ACTIVE, CALL)) {
    if (name.endsWith('.downstream_rq_active')) requests += OURS.test(name) ? 0 : value;
    else if (name.startsWith('http.')) tcpConnections -= value;
    else if (!name.includes('.worker_') && !name.includes('.main_thread.')) tcpConnections += value;
  }
  return requests + Math.max(0, tcpConnections);
}

async function untilIdle(admin: AdminClient, endMs: number, signal: AbortSignal | undefined): Promise<number> {
  let quiet = 0;
  for (;;) {
    const active = await activeWork(admin);
    quiet = active === 0 ? quiet + 1 : 0;
    if (quiet >= QUIET_LOOKS) return 0;
    if (performance.now() + POLL_MS > endMs || !(await sleep(POLL_MS, signal))) return active;
  }
}

/** Drains an Envoy, within `drainTimeMs`. Never rejects; the Envoy still runs afterwards and accepts nothing inbound. */
export async function drain(admin: AdminClient, options: DrainOptions): Promise<DrainResult> {
  const { drainTimeMs, minimumDrainMs = 3000, signal } = options;
  const start = performance.now();
  try {
    await admin.failHealthCheck(CALL);
    await admin.drainListeners({ graceful: true, inboundOnly: true }, CALL);
    await sleep(Math.min(minimumDrainMs, drainTimeMs / 2), signal);
    await admin.drainListeners({ graceful: false, inboundOnly: true }, CALL);
    const active = await untilIdle(admin, start + drainTimeMs, signal);
    return active === 0 ? { kind: 'idle' } : { kind: 'timeout', active };
  } catch (error) {
    return { kind: 'unreachable', error };
  }
}
