/**
 * The text of agent.yaml that is in force, kept in the state folder: a command that helps in trouble must not fail because
 * somebody has just broken the file. It names files of secrets, and holds none.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../lib/atomic-file.ts';

const fileIn = (stateDir: string): string => join(stateDir, 'agent.yaml');

/** To be called when settings come into force. @param file where they were read. Rejects with the error of the system. */
export async function keepSettingsText(stateDir: string, file: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  if (text !== (await keptSettingsText(stateDir))) await writeFileAtomic(fileIn(stateDir), text);
}

/** The text of the last agent; undefined where there is none. Never rejects. */
export async function keptSettingsText(stateDir: string): Promise<string | undefined> {
  return readFile(fileIn(stateDir), 'utf8').catch(() => undefined);
}
