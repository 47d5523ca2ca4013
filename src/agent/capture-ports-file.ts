/** Which port of Envoy each caller's captured calls arrive at, kept in the state folder: rules outlive agents. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { assignCapturePorts, capturedCallers } from './callers.ts';
import type { AgentSettings } from './settings.ts';

const schema = z.object({
  version: z.literal(1),
  /** By `CapturedCaller.key`. */
  ports: z.record(z.string(), z.int().check(z.minimum(1), z.maximum(65_535))),
});

const fileIn = (stateDir: string): string => join(stateDir, 'capture-ports.json');

/** What was saved; nothing where there is no file, or none of ours. Never rejects. */
export async function readCapturePorts(stateDir: string): Promise<ReadonlyMap<string, number>> {
  try {
    return new Map(Object.entries(schema.parse(JSON.parse(await readFile(fileIn(stateDir), 'utf8'))).ports));
  } catch {
    return new Map();
  }
}

/** Rejects with the error of the system. */
export async function saveCapturePorts(stateDir: string, ports: ReadonlyMap<string, number>): Promise<void> {
  await writeFileAtomic(fileIn(stateDir), `${JSON.stringify({ version: 1, ports: Object.fromEntries(ports) })}\n`);
}

/** The ports of these settings' callers: those that they have, and new ones for new callers. */
export async function capturePortsOf(settings: AgentSettings): Promise<ReadonlyMap<string, number>> {
  const keys = capturedCallers(settings).map(({ key }) => key);
  return assignCapturePorts(keys, await readCapturePorts(settings.paths.state));
}
