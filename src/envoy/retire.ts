/** The orderly end of one Envoy: drained, then ended, and its record taken away. */
import type { Log } from '../lib/log.ts';
import type { AdminClient } from './admin.ts';
import { type DrainOptions, type DrainResult, drain } from './drain.ts';
import { type LiveEnvoy, terminate } from './live-envoy.ts';
import { removeRecord } from './state-file.ts';

export interface Retirement {
  readonly drained: DrainResult;
  readonly ended: 'terminated' | 'killed';
}

/** Never rejects; takes the drain time and some seconds at most. @param options.drain undefined: it has never served */
export async function retire(
  live: LiveEnvoy,
  options: {
    readonly admin: AdminClient;
    readonly drain: DrainOptions | undefined;
    readonly record: string;
    readonly log: Log;
  },
): Promise<Retirement> {
  const { admin, record, log } = options;
  const gone = new AbortController();
  void live.exited.then(() => gone.abort());
  const drained: DrainResult =
    options.drain === undefined ? { kind: 'idle' } : await drain(admin, { ...options.drain, signal: gone.signal });
  const ended = await terminate(live);
  live.release();
  await removeRecord(record).catch(() => undefined);
  log.info({ pid: live.identity.pid, drained: drained.kind, ended }, 'Envoy stopped');
  return { drained, ended };
}
