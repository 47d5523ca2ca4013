/**
 * What taking this host out of traffic needs of the settings in force, kept in the state folder: agent.yaml may have
 * become faulty by the time at which Envoy ends. It names files of secrets, and holds none.
 */
import { readFile, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { PATHS } from '../platform/vm/paths.ts';
import type { AgentSettings } from './settings.ts';

/** The settings that a drain uses, with the same names. */
export type DrainSettings = Pick<AgentSettings, 'registry' | 'consul'> & {
  readonly host: Pick<AgentSettings['host'], 'name'>;
  readonly envoy: Pick<AgentSettings['envoy'], 'runDir' | 'drainTimeMs'>;
  readonly paths: Pick<AgentSettings['paths'], 'run'>;
};

const PATH = z.nullable(z.string());

const STORED = z.object({
  version: z.literal(1),
  settings: z.object({
    host: z.object({ name: z.string() }),
    registry: z.enum(['consul', 'files']),
    consul: z.object({
      address: z.string(),
      tokenFile: PATH,
      caFile: PATH,
      certFile: PATH,
      keyFile: PATH,
      maxWatches: z.number(),
    }),
    envoy: z.object({ runDir: z.string(), drainTimeMs: z.number().check(z.minimum(0)) }),
    paths: z.object({ run: z.string() }),
  }),
});

const fileIn = (stateDir: string): string => join(stateDir, 'drain.json');

/**
 * To be called with the settings that come into force. Rejects with the error of the system; what was kept before is gone
 * then, since it is no longer true.
 */
export async function keepDrainSettings(stateDir: string, settings: DrainSettings): Promise<void> {
  const { host, registry, consul, envoy, paths } = settings;
  const kept: DrainSettings = {
    host: { name: host.name },
    registry,
    consul,
    envoy: { runDir: envoy.runDir, drainTimeMs: envoy.drainTimeMs },
    paths: { run: paths.run },
  };
  try {
    const text = `${JSON.stringify({ version: 1, settings: kept }, (_, value: unknown) => value ?? null)}\n`;
    // On a full disk what is kept already stays: it is still true.
    if (text !== (await readFile(fileIn(stateDir), 'utf8').catch(() => undefined)))
      await writeFileAtomic(fileIn(stateDir), text);
  } catch (error) {
    await rm(fileIn(stateDir), { force: true }).catch(() => undefined);
    throw error;
  }
}

/** What the last agent kept; undefined where there is nothing, or nothing of ours. Never rejects. */
export async function keptDrainSettings(stateDir: string): Promise<DrainSettings | undefined> {
  try {
    const { settings } = STORED.parse(JSON.parse(await readFile(fileIn(stateDir), 'utf8')));
    const { tokenFile, caFile, certFile, keyFile, ...consul } = settings.consul;
    return {
      ...settings,
      consul: {
        ...consul,
        tokenFile: tokenFile ?? undefined,
        caFile: caFile ?? undefined,
        certFile: certFile ?? undefined,
        keyFile: keyFile ?? undefined,
      },
    };
  } catch {
    return undefined;
  }
}

/** `paths.state` as somebody may have written it, in YAML or JSON, at a place that is no comment. */
const WRITTEN_STATE = /^[^#\n]*?\bstate["']?\s*:\s*["']?([^\s"',}#]+)/gm;

/**
 * Where an agent with a file that cannot be understood may have its state, likeliest first.
 * @param given what a flag or the environment says of `paths.state`
 */
export async function stateDirsOf(
  configFile: string,
  given: readonly (string | undefined)[],
): Promise<readonly string[]> {
  const text = await readFile(configFile, 'utf8').catch(() => '');
  const written = [...text.matchAll(WRITTEN_STATE)].map(([, path]) => path);
  return [...given, ...written, PATHS.state].flatMap((path) =>
    path === undefined ? [] : [resolve(dirname(configFile), path)],
  );
}
