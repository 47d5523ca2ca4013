/** What this machine lets one process hold open. */
import { readFile } from 'node:fs/promises';

/** Beside connections: listeners, log, admin, certificates, connections to the agent. */
const OTHER_FILES = 1000;
const MOST_CONNECTIONS = 50_000;
const FEWEST_CONNECTIONS = 1000;

/**
 * How many connections an Envoy should accept at most, from the text of /proc/<pid>/limits: each takes a file descriptor
 * and one more towards its upstream. Between 1,000 and 50,000.
 */
export function connectionsWithin(limits: string): number {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  const files = hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard ?? Number.NaN);
  if (Number.isNaN(files)) return MOST_CONNECTIONS;
  return Math.max(FEWEST_CONNECTIONS, Math.min(MOST_CONNECTIONS, Math.floor((files - OTHER_FILES) / 2)));
}

/** As `connectionsWithin` for this process, whose limits Envoy inherits (Node raises the soft one to the hard one). */
export async function maxConnections(): Promise<number> {
  return connectionsWithin(await readFile('/proc/self/limits', 'utf8').catch(() => ''));
}
