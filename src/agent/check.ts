/** The offline check of everything that a host reads from files: agent.yaml, meshconfig.yaml, the resources. */
import { silentLog } from '../lib/log.ts';
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
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

/** Checks what the settings name, starting from what loading them found. Asks nobody; never throws for a faulty file. */
export async function checkConfiguration(file: string, loaded: LoadedSettings): Promise<CheckReport> {
  const diagnostics: Diagnostic[] = [...('issues' in loaded ? loaded.issues : loaded.warnings)];
  const checked = [file];
  const mesh = 'issues' in loaded ? loaded.mesh : loaded.settings.mesh;
  if (mesh !== undefined) {
    checked.push(mesh.resourcesDir);
    diagnostics.push(...(await resourceDiagnostics(mesh.resourcesDir)));
  }
  return { diagnostics: diagnostics.sort(compareDiagnostics), checked };
}
