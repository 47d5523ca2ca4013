/**
 * What resources said of this host when they were last read, kept in the state folder: Envoy starts before resources are
 * read, and with other settings than the last agent's it would be replaced twice.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import type { HostResources } from './settings-of-resources.ts';

const fileIn = (stateDir: string): string => join(stateDir, 'host-resources.json');

const EMPTY: HostResources = { workloadGroups: [], proxyConfigs: [] };

/** The form is ours, written by `keepHostResources`; what is inside was checked when it was read from its source. */
const kept = z.object({
  version: z.literal(1),
  workloadGroups: z.array(z.object({ meta: z.looseObject({ name: z.string(), namespace: z.string() }) })),
  proxyConfigs: z.array(z.object({ meta: z.looseObject({ name: z.string(), namespace: z.string() }) })),
});

/** Of the last agent; empty where there is nothing, or nothing that can be read. Never rejects. */
export async function readHostResources(stateDir: string): Promise<HostResources> {
  try {
    const value: unknown = JSON.parse(await readFile(fileIn(stateDir), 'utf8'));
    return z.safeParse(kept, value).success ? (value as HostResources) : EMPTY;
  } catch {
    return EMPTY;
  }
}

/** Rejects with the error of the system. */
export async function keepHostResources(stateDir: string, resources: HostResources): Promise<void> {
  const { workloadGroups, proxyConfigs } = resources;
  const text = JSON.stringify({ version: 1, workloadGroups, proxyConfigs });
  const before = await readFile(fileIn(stateDir), 'utf8').catch(() => undefined);
  const nothing = workloadGroups.length === 0 && proxyConfigs.length === 0;
  if (text !== before && !(before === undefined && nothing)) await writeFileAtomic(fileIn(stateDir), text);
}
