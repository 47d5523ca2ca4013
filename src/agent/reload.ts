/** Reading agent.yaml and meshconfig.yaml anew while the agent runs: what takes effect, and what needs a restart. */
import { isDeepStrictEqual } from 'node:util';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { readMeshConfig } from './agent-files.ts';
import type { AgentSettings } from './settings.ts';
import type { LoadedSettings } from './settings-load.ts';

/** What the agent runs with. */
export interface Running {
  readonly settings: AgentSettings;
  readonly config: MeshConfig;
}

export interface Reloaded extends Running {
  /** Of all that was read; with an error among them, settings and configuration are those from before. */
  readonly diagnostics: readonly Diagnostic[];
}

/** What is settled when the agent starts: where it keeps things, whom it asks, and who it is. */
const FIXED: readonly (readonly [path: string, of: (settings: AgentSettings) => unknown])[] = [
  ['host.name', ({ host }) => host.name],
  ['mesh.resources', ({ mesh }) => mesh.resourcesDir],
  ['mesh.fleet.trust', ({ mesh }) => mesh.fleet?.trustFile],
  ['registry', ({ registry }) => registry],
  ['consul', ({ consul }) => consul],
  ['identity', ({ identity }) => identity],
  ['discovery', ({ discovery }) => discovery],
  ['paths', ({ paths }) => paths],
  ['envoy.launcher', ({ envoy }) => envoy.launcher],
  ['envoy.runDir', ({ envoy }) => envoy.runDir],
];

/** The new settings with what is settled as it was. */
function keepFixed(running: AgentSettings, next: AgentSettings): AgentSettings {
  const { name } = running.host;
  const { resourcesDir } = running.mesh;
  const trustFile = running.mesh.fleet?.trustFile;
  const fleet = trustFile === undefined ? undefined : { namespaces: [], ...next.mesh.fleet, trustFile };
  const { registry, consul, identity, discovery, paths } = running;
  const { launcher, runDir } = running.envoy;
  return {
    ...next,
    host: { ...next.host, name },
    mesh: { ...next.mesh, resourcesDir, fleet },
    registry,
    consul,
    identity,
    discovery,
    paths,
    envoy: { ...next.envoy, launcher, runDir },
  };
}

function needsRestart(path: string, file: string | undefined, severity: 'warning' | 'error'): Diagnostic {
  return {
    code: 'TRY0907',
    severity,
    object: path,
    ...(file === undefined ? {} : { source: { file, line: 1 } }),
    message:
      severity === 'error'
        ? `${path} has changed, which takes effect with a restart of the agent; until then nothing of this file does`
        : `${path} has changed, which takes effect with a restart of the agent`,
    remedy: 'Restart the agent when it suits: Envoy serves on. Or change it back.',
  };
}

/**
 * What the agent goes on with. Never throws: with a fault in one of the files everything stays as it is.
 * @param loaded agent.yaml, flags and environment as they are now
 */
export async function reloaded(running: Running, loaded: LoadedSettings): Promise<Reloaded> {
  if ('issues' in loaded) return { ...running, diagnostics: loaded.issues };
  const next = loaded.settings;
  const changed = FIXED.filter(([, of]) => !isDeepStrictEqual(of(running.settings), of(next))).map(([path]) => path);
  // What else the file says was judged with these: half of it would be another configuration than anybody wrote.
  const whole = ['registry', 'identity'].filter((path) => changed.includes(path));
  if (whole.length > 0) return { ...running, diagnostics: whole.map((path) => needsRestart(path, next.file, 'error')) };
  const diagnostics = [...loaded.warnings, ...changed.map((path) => needsRestart(path, next.file, 'warning'))];
  const settings = keepFixed(running.settings, next);
  const read = await readMeshConfig(settings.mesh.configFile);
  if (read.config === undefined) return { ...running, diagnostics: [...diagnostics, ...read.diagnostics] };
  const { trustDomain, catalogue } = running.config;
  const meshFile = settings.mesh.configFile;
  const fixed = [
    ...(read.config.trustDomain === trustDomain ? [] : ['trustDomain']),
    ...(isDeepStrictEqual(read.config.catalogue, catalogue) ? [] : ['catalogue']),
  ];
  return {
    settings,
    config: { ...read.config, trustDomain, catalogue },
    diagnostics: [...diagnostics, ...read.diagnostics, ...fixed.map((path) => needsRestart(path, meshFile, 'warning'))],
  };
}
