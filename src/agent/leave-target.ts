/** What `trysail leave` has to undo on this host: found in agent.yaml where that can be read, in the usual places else. */
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorMessage } from '../lib/errors.ts';
import { hostName } from '../platform/vm/host-address.ts';
import { PATHS } from '../platform/vm/paths.ts';
import { loadMeshConfig } from './agent-files.ts';
import { bypassDir } from './bypass-state.ts';
import { settingsFrom, textOf } from './join-host.ts';
import type { AgentSettings } from './settings.ts';

export interface LeaveTarget {
  readonly hostName: string;
  /** Undefined where agent.yaml is gone or unreadable: then nothing is known of Consul, nor of the CA. */
  readonly settings: AgentSettings | undefined;
  readonly trustDomain: string | undefined;
  /** Undefined: not known. */
  readonly stateDir: string | undefined;
  /** Of the agent, of Envoy, of the holder of the capture rules. */
  readonly runDirs: readonly string[];
  /** Where it is written down which services are past the proxy. */
  readonly bypassDirs: readonly string[];
  /** Files of configuration that are there, resources included. */
  readonly configFiles: readonly string[];
  /** Why less is known than could be, a sentence each. */
  readonly notes: readonly string[];
}

/** Where systemd keeps the FIFO of the rules' holder. */
const CAPTURE_RUN = '/run/trysail-capture';

async function existing(files: readonly string[]): Promise<readonly string[]> {
  const there = await Promise.all(
    [...new Set(files)].map(async (file) => ((await textOf(file)) === undefined ? [] : [file])),
  );
  return there.flat();
}

async function yamlFiles(dir: string): Promise<readonly string[]> {
  const names = await readdir(dir).catch(() => []);
  return names.filter((name) => /\.ya?ml$/.test(name)).map((name) => join(dir, name));
}

/** @throws TrysailError JOIN_FORBIDDEN when this user may not read the host's files */
export async function leaveTarget(configFile: string): Promise<LeaveTarget> {
  const notes: string[] = [];
  const folder = dirname(configFile);
  let settings: AgentSettings | undefined;
  let trustDomain: string | undefined;
  if ((await textOf(configFile)) !== undefined) {
    try {
      settings = await settingsFrom(configFile);
      trustDomain = (await loadMeshConfig(settings.mesh.configFile)).config.trustDomain;
    } catch (error) {
      notes.push(`${configFile} is not taken into account: ${errorMessage(error)}`);
    }
  }
  const resourcesDir = settings?.mesh.resourcesDir ?? join(folder, 'resources.d');
  const isUsual = folder === dirname(PATHS.agentConfig);
  const agentRun = settings?.paths.run ?? (isUsual ? PATHS.run : undefined);
  const runDirs = [agentRun, settings?.envoy.runDir, ...(isUsual ? [PATHS.envoyRun, CAPTURE_RUN] : [])];
  return {
    hostName: settings?.host.name ?? hostName(),
    settings,
    trustDomain,
    stateDir: settings?.paths.state ?? (isUsual ? PATHS.state : undefined),
    runDirs: [...new Set(runDirs.filter((dir) => dir !== undefined))],
    bypassDirs: agentRun === undefined ? [] : [bypassDir(agentRun)],
    configFiles: await existing([
      configFile,
      settings?.mesh.configFile ?? join(folder, 'meshconfig.yaml'),
      settings?.mesh.fleet?.trustFile ?? join(folder, 'fleet-root.pem'),
      settings?.identity.ca.joinTokenFile ?? join(folder, 'join.token'),
      ...(await yamlFiles(resourcesDir)),
    ]),
    notes,
  };
}
