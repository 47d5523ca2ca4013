/** What an agent remembers of capture: whether somebody has confirmed it on this host, and until when it is on trial. */
import { readFile } from 'node:fs/promises';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';

const schema = z.object({
  version: z.literal(1),
  /** Whether rules are wanted in the kernel. */
  applied: z.boolean(),
  /** Whether they may stay. */
  confirmed: z.boolean(),
  /** When they are taken back unless confirmed, in milliseconds since 1970. */
  trialEndsAtMs: z.optional(z.number()),
});

export type CaptureState = Omit<z.output<typeof schema>, 'version'>;

export const NEVER_APPLIED: CaptureState = { applied: false, confirmed: false };

/** What was saved; as never applied where there is nothing, or nothing of ours. Never rejects. */
export async function readCaptureState(file: string): Promise<CaptureState> {
  try {
    const { version: _, ...state } = schema.parse(JSON.parse(await readFile(file, 'utf8')));
    return state;
  } catch {
    return NEVER_APPLIED;
  }
}

/** Rejects with the error of the system. */
export async function writeCaptureState(file: string, state: CaptureState): Promise<void> {
  await writeFileAtomic(file, `${JSON.stringify({ version: 1, ...state })}\n`);
}
