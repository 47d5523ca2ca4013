/** The offline check of everything that a host reads from files: agent.yaml, meshconfig.yaml, the resources. */
import { readFile } from 'node:fs/promises';
import { errorMessage } from '../lib/errors.ts';
import { silentLog } from '../lib/log.ts';
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import { parseMeshConfig } from '../sources/mesh-config.ts';
import { ResourceDirectory } from '../sources/resource-directory.ts';
import type { LoadedSettings } from './settings-load.ts';

export interface CheckReport {
  /** Most severe first. */
  readonly diagnostics: readonly Diagnostic[];
  /** Files and folders that were looked at; those that agent.yaml could not name are missing. */
  readonly checked: readonly string[];
}

async function resourceDiagnostics(dir: string): Promise<readonly Diagnostic[]> {
  const directory = new ResourceDirectory({ dir, log: silentLog(), onChange: () => undefined });
  try {
    return (await directory.start()).diagnostics;
  } finally {
    await directory.stop();
  }
}

async function meshConfigDiagnostics(file: string): Promise<readonly Diagnostic[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    return [
      {
        code: 'TRY0903',
        severity: 'error',
        object: 'MeshConfig',
        source: { file, line: 1 },
        message: `cannot be read: ${errorMessage(error)}`,
        remedy: 'Let the user of the agent read it, or correct mesh.config in agent.yaml.',
      },
    ];
  }
  return parseMeshConfig(text, file).diagnostics;
}

/** Checks what the settings name, starting from what loading them found. Asks nobody; never throws for a faulty file. */
export async function checkConfiguration(file: string, loaded: LoadedSettings): Promise<CheckReport> {
  const diagnostics: Diagnostic[] = [...('issues' in loaded ? loaded.issues : loaded.warnings)];
  const checked = [file];
  const mesh = 'issues' in loaded ? loaded.mesh : loaded.settings.mesh;
  if (mesh !== undefined) {
    if (mesh.configFile !== undefined) {
      checked.push(mesh.configFile);
      diagnostics.push(...(await meshConfigDiagnostics(mesh.configFile)));
    }
    checked.push(mesh.resourcesDir);
    diagnostics.push(...(await resourceDiagnostics(mesh.resourcesDir)));
  }
  return { diagnostics: diagnostics.sort(compareDiagnostics), checked };
}
