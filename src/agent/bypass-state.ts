/** Which services are past the proxy now, and until when; kept where a reboot removes it together with the rules. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';

const schema = z.object({
  version: z.literal(1),
  entries: z.array(
    z.object({
      /** As named by who asked; `*` is everything. */
      name: z.string(),
      /** When it ends by itself, in seconds since the machine started: no clock that somebody sets. Absent: never. */
      endsAtUptimeS: z.optional(z.number()),
    }),
  ),
  /** `net.ipv4.conf.all.route_localnet` was 0, and is to be so again. */
  restoreRouteLocalnet: z.boolean(),
});

export type BypassState = Omit<z.output<typeof schema>, 'version'>;
export type BypassEntry = BypassState['entries'][number];

const NOTHING: BypassState = { entries: [], restoreRouteLocalnet: false };

/** The folder of bypasses beside an agent's run folder. */
export function bypassDir(runDir: string): string {
  return `${runDir.replace(/\/+$/, '')}-bypass`;
}

/** Seconds since the machine started. */
export async function uptimeS(): Promise<number> {
  return Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0]);
}

/** As nothing where there is no file, or none of ours. Never rejects. */
export async function readBypassState(dir: string): Promise<BypassState> {
  try {
    const { version: _, ...state } = schema.parse(JSON.parse(await readFile(join(dir, 'state.json'), 'utf8')));
    return state;
  } catch {
    return NOTHING;
  }
}

/** Without entries the folder goes. Rejects with the error of the system. */
export async function writeBypassState(dir: string, state: BypassState): Promise<void> {
  if (state.entries.length === 0 && !state.restoreRouteLocalnet) return rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true, mode: 0o755 });
  await writeFileAtomic(join(dir, 'state.json'), JSON.stringify({ version: 1, ...state }), 0o644);
}
