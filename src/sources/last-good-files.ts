/**
 * The last texts of resource files that were without errors, on disk: an agent that starts while a file is broken knows
 * what to keep in force.
 */
import { readFile } from 'node:fs/promises';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import type { ResourceFile } from './resource-reader.ts';

const schema = z.object({
  version: z.literal(1),
  files: z.array(z.object({ file: z.string(), text: z.string() })),
});

/** What `saveLastGood` wrote; nothing where there is no such file, or it is not one of ours. Never rejects. */
export async function loadLastGood(path: string): Promise<readonly ResourceFile[]> {
  try {
    const parsed = z.safeParse(schema, JSON.parse(await readFile(path, 'utf8')));
    return parsed.success ? parsed.data.files : [];
  } catch {
    return [];
  }
}

/** Replaces the file in one step. Rejects with the error of the system (a full disk, a missing folder). */
export async function saveLastGood(path: string, files: readonly ResourceFile[]): Promise<void> {
  await writeFileAtomic(path, JSON.stringify({ version: 1, files }));
}
