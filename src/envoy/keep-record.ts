/** Writing down which Envoy serves, and how it was started. */
import type { Log } from '../lib/log.ts';
import type { Wanted } from './adoption.ts';
import { argumentsHash } from './arguments.ts';
import type { LiveEnvoy } from './live-envoy.ts';
import { binaryStamp } from './running-envoy.ts';
import { writeRecord } from './state-file.ts';

/** Never rejects: a record that cannot be written costs the next agent a search, and is no reason to end a good Envoy. */
export async function keepRecord(
  path: string,
  { identity, epoch }: LiveEnvoy,
  how: { readonly startedAtMs: number; readonly wanted: Wanted; readonly adminSocket: string; readonly log: Log },
): Promise<void> {
  const { startedAtMs, wanted, adminSocket, log } = how;
  const { bootstrapHash, args } = wanted;
  try {
    const binary = await binaryStamp(wanted.binary);
    const started = { epoch, startedAtMs, bootstrapHash, argumentsHash: argumentsHash(args), binary, adminSocket };
    await writeRecord(path, { ...identity, ...started });
  } catch (err) {
    log.warn({ err, path }, 'the record of the Envoy process cannot be written');
  }
}
