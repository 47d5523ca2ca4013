/**
 * The Envoy that a hot restart has replaced: it accepts nothing any more, tells its connections to close, and is ended by
 * its successor when the time for that is over.
 * https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/operations/hot_restart
 */
import { sleep } from '../lib/sleep.ts';
import type { AdminClient } from './admin.ts';
import { type LiveEnvoy, terminate } from './live-envoy.ts';
import { isRunning } from './process-identity.ts';

const POLL_MS = 250;
/** After the moment at which its successor has to end it. */
const GRACE_MS = 5000;
const TERMINATE_MS = 3000;

export interface ParentOptions {
  /** Of the successor. */
  readonly admin: AdminClient;
  /** How long the successor lets it live. */
  readonly shutdownMs: number;
  readonly signal: AbortSignal;
  /** Called with each new count of its connections. */
  readonly onConnections: (count: number) => void;
}

/**
 * Watches it until it is gone, and ends it when its successor does not.
 * @returns the connections that it had when last counted (its successor counts every five seconds); undefined when that
 * was never said or `signal` aborts
 */
export async function watchParent(parent: LiveEnvoy, options: ParentOptions): Promise<number | undefined> {
  const { admin, shutdownMs, signal, onConnections } = options;
  const end = performance.now() + shutdownMs + GRACE_MS;
  let connections: number | undefined;
  while (isRunning(parent.identity)) {
    const stats = await admin.stats('^server\\.(parent_connections|hot_restart_generation)$').catch(() => undefined);
    const count = stats?.get('server.parent_connections');
    // The gauge is there, and zero, from the start: a generation above one says that the parent was heard.
    if (count !== undefined && (stats?.get('server.hot_restart_generation') ?? 0) > 1) {
      if (count !== connections) onConnections(count);
      connections = count;
    }
    if (performance.now() > end) {
      await terminate(parent, TERMINATE_MS);
      break;
    }
    const waiting = new AbortController();
    await Promise.race([parent.exited, sleep(POLL_MS, AbortSignal.any([signal, waiting.signal]))]);
    waiting.abort();
    if (signal.aborted) return undefined;
  }
  return connections;
}
