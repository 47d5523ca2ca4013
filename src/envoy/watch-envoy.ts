/** Following one Envoy from its start on: ready or not, and its predecessors to their end. */
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { AdminClient } from './admin.ts';
import type { EnvoyStanding } from './envoy-standing.ts';
import type { Generations } from './generations.ts';
import { watchHealth } from './health-watch.ts';
import type { LiveEnvoy } from './live-envoy.ts';
import { watchParent } from './parent.ts';

const HEALTH_INTERVAL_MS = 5000;
/** How often it is looked whether the new one serves. */
const SERVES_POLL_MS = 50;

export interface Watching {
  readonly admin: AdminClient;
  readonly standing: EnvoyStanding;
  readonly generations: Generations;
  readonly log: Log;
  /** Default 5,000. */
  readonly healthIntervalMs: number | undefined;
  /** How long a predecessor lives at most from the moment at which the new one serves. */
  readonly parentShutdownMs: number;
  /** Says what a start waits for. */
  readonly waitingFor: () => Promise<string>;
  /** Called when it has taken over from others. */
  readonly onTakeOver: (startedAtMs: number) => Promise<void>;
}

/** From `starting` to `ready`, and from there to `unresponsive` and back, until `signal` aborts. */
export async function watchEnvoy(live: LiveEnvoy, watching: Watching, signal: AbortSignal): Promise<void> {
  const { admin, standing, generations, log, healthIntervalMs = HEALTH_INTERVAL_MS } = watching;
  const { pid } = live.identity;
  const parents = generations.older.map(async (older) => {
    // Until the new one serves it is no parent yet: nothing ends it.
    while (!generations.hasServed) if (!(await sleep(SERVES_POLL_MS, signal))) return;
    await seeOff(older, watching, signal);
  });
  await watchHealth({
    admin,
    epoch: live.epoch,
    succeeds: parents.length > 0,
    intervalMs: healthIntervalMs,
    signal,
    onReady: async () => becomeReady(live, watching, signal),
    onAnswers: (answers) => {
      const { kind } = standing.status.state;
      if (answers && kind === 'unresponsive') standing.become({ kind: 'ready', pid, sinceMs: Date.now() });
      if (!answers && kind === 'ready') {
        log.warn({ pid }, 'Envoy does not say that it is ready any more');
        standing.become({ kind: 'unresponsive', pid, sinceMs: Date.now() });
      }
    },
    onSlow: () => {
      void watching.waitingFor().then((waitingFor) => {
        if (!signal.aborted) log.warn({ pid, waitingFor }, 'Envoy is not ready yet');
      });
    },
    onStuck: () => {
      log.error({ pid }, 'the new Envoy hangs in its start; ending it');
      void live.signal('SIGKILL');
    },
  });
  await Promise.all(parents);
}

async function becomeReady(live: LiveEnvoy, watching: Watching, signal: AbortSignal): Promise<void> {
  const { admin, standing, generations, log, onTakeOver } = watching;
  const now = Date.now();
  const { pid } = live.identity;
  const { adopted, startedAtMs, epoch } = standing.status;
  const readyAfterMs = adopted || startedAtMs === undefined ? undefined : now - startedAtMs;
  // It answered a moment ago; should it not now, the version stays unknown.
  const version = await admin.serverInfo().then(
    (info) => info.version,
    () => standing.status.version,
  );
  if (signal.aborted) return;
  const tookOver = generations.serve();
  standing.note({ readyAfterMs, version });
  standing.become({ kind: 'ready', pid, sinceMs: now });
  log.info({ pid, version, epoch, readyAfterMs }, 'Envoy is ready');
  if (!tookOver) return;
  standing.changeHotRestart({ phase: 'draining' });
  await onTakeOver(startedAtMs ?? now);
}

/** Sees an Envoy that has been replaced to its end, and says what its end cost. */
async function seeOff(parent: LiveEnvoy, watching: Watching, signal: AbortSignal): Promise<void> {
  const { admin, standing, generations, log, parentShutdownMs: shutdownMs } = watching;
  const { pid } = parent.identity;
  const onConnections = (connections: number): void => standing.changeHotRestart({ connections });
  const connections = await watchParent(parent, { admin, shutdownMs, signal, onConnections });
  if (signal.aborted) return;
  generations.forget(parent);
  if ((connections ?? 0) > 0)
    log.warn({ pid, connections }, 'the Envoy of before has ended; connections that outlived its drain were closed');
  else log.info({ pid, connections }, 'the Envoy of before has ended');
  standing.changeHotRestart({ phase: 'done', connections });
}
