/**
 * The offline check of everything that a host reads from files: agent.yaml, meshconfig.yaml, the resources, and what
 * they say of each other. What only Consul knows is not judged.
 */
import { existsSync } from 'node:fs';
import { silentLog } from '../lib/log.ts';
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import type { Host } from '../model/host.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import { buildMesh } from '../sources/build-mesh.ts';
import type { ResourceSet } from '../sources/resource-set.ts';
import { diagnose } from '../translate/diagnose.ts';
import { readMeshConfig } from './agent-files.ts';
import { Allocations } from './allocations.ts';
import { readHostResources, readResources } from './read-resources.ts';
import type { AgentSettings } from './settings.ts';
import type { LoadedSettings } from './settings-load.ts';

export interface CheckReport {
  /** Most severe first. */
  readonly diagnostics: readonly Diagnostic[];
  /** Files and folders that were looked at; those that agent.yaml could not name are missing. */
  readonly checked: readonly string[];
  /** The mesh's configuration, defaults included; undefined when it has errors or no file could say where it is. */
  readonly config: MeshConfig | undefined;
}

/** Nothing is known of a service: no fault as long as Consul may know it. */
const UNKNOWN_UPSTREAM = 'TRY0401';

async function plannedHost(settings: AgentSettings, config: MeshConfig): Promise<Host> {
  const allocations = await Allocations.open(settings.paths.state, silentLog());
  return allocations.planned(settings, config);
}

function meshDiagnostics(
  settings: AgentSettings | undefined,
  config: MeshConfig,
  host: Host | undefined,
  resources: ResourceSet,
): readonly Diagnostic[] {
  const usesConsul = settings?.registry !== 'files';
  const mesh = buildMesh(undefined, {
    config,
    resources,
    // With Consul any host of the mesh's names may exist; without it, what no resource defines does not.
    catalogue: usesConsul ? { services: new Map(), diagnostics: [] } : undefined,
    localServices: settings?.services ?? [],
  });
  if (host === undefined) return mesh.diagnostics;
  const ofHost = diagnose(mesh, host);
  return [...mesh.diagnostics, ...ofHost.filter(({ code }) => !usesConsul || code !== UNKNOWN_UPSTREAM)];
}

/** Checks what the settings name, starting from what loading them found. Asks nobody; never throws for a faulty file. */
export async function checkConfiguration(file: string, loaded: LoadedSettings): Promise<CheckReport> {
  const diagnostics: Diagnostic[] = [...('issues' in loaded ? loaded.issues : loaded.warnings)];
  const checked = [file];
  const settings = 'settings' in loaded ? loaded.settings : undefined;
  const mesh = 'issues' in loaded ? loaded.mesh : loaded.settings.mesh;
  let config: MeshConfig | undefined;
  if (mesh !== undefined) {
    if (mesh.configFile === undefined) config = DEFAULT_MESH_CONFIG;
    else {
      checked.push(mesh.configFile);
      // A file that is not there was complained of already, at the place where it is named.
      const parsed = existsSync(mesh.configFile) ? await readMeshConfig(mesh.configFile) : undefined;
      config = parsed?.config;
      diagnostics.push(...(parsed?.diagnostics ?? []));
    }
    checked.push(mesh.resourcesDir);
    const known = config ?? DEFAULT_MESH_CONFIG;
    const host = settings === undefined ? undefined : await plannedHost(settings, known);
    const resources =
      settings === undefined || host === undefined
        ? await readResources(mesh.resourcesDir)
        : await readHostResources({ settings, config: known, host });
    diagnostics.push(...meshDiagnostics(settings, known, host, resources));
  }
  return { diagnostics: diagnostics.sort(compareDiagnostics), checked, config };
}
