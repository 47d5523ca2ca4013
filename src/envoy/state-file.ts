/** What one agent writes down of the Envoy that it started, for the agent that comes after it. */
import { readFile, unlink } from 'node:fs/promises';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { errorCode } from '../lib/errors.ts';

const StateFile = z.object({
  pid: z.int().check(z.positive()),
  startTime: z.string(),
  bootId: z.string(),
  epoch: z.int(),
  /** Wall clock, milliseconds. */
  startedAtMs: z.number(),
  bootstrapHash: z.string(),
  argumentsHash: z.string(),
  /** The program, with size and time of change, so that an upgrade shows. */
  binary: z.string(),
  adminSocket: z.string(),
});

export type EnvoyRecord = Readonly<z.infer<typeof StateFile>>;

/** The record, or undefined where there is none or it cannot be read: the process is then looked for by its arguments. */
export async function readRecord(path: string): Promise<EnvoyRecord | undefined> {
  try {
    const parsed = z.safeParse(StateFile, JSON.parse(await readFile(path, 'utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** Replaces the record, readable by this user alone. Rejects with what the file system says. */
export async function writeRecord(path: string, record: EnvoyRecord): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(record, undefined, 2)}\n`);
}

/** Deletes the record; that there is none is no error. Rejects with what the file system says of anything else. */
export async function removeRecord(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
