/** The folders and files of one agent, and the mesh's configuration as the host has it. */
import { realpathSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
import { type Diagnostic, formatDiagnostic } from '../model/diagnostic.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import type { ParsedMeshConfig } from '../sources/mesh-config.ts';
import type { AgentSettings } from './settings.ts';

/** The folder of the program: of its sources in a checkout, of the bundle in a package. */
export function programDir(): string {
  return dirname(realpathSync(process.argv[1] ?? process.execPath));
}

/**
 * Makes the state and the run folder, for the agent's user alone.
 * @throws TrysailError `FOLDER_UNUSABLE`
 */
export async function prepareFolders({ state, run }: Pick<AgentSettings['paths'], 'state' | 'run'>): Promise<void> {
  for (const [setting, path] of [
    ['paths.state', state],
    ['paths.run', run],
  ] as const) {
    try {
      await mkdir(path, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new TrysailError('FOLDER_UNUSABLE', `${setting}: ${path} cannot be made: ${errorMessage(error)}`, {
        remedy: `Create it, owned by the agent's user with mode 0700, or set ${setting}.`,
        cause: error,
      });
    }
  }
}

/** Reads meshconfig.yaml; defaults when there is none. `config` is undefined where the file has errors. */
export async function readMeshConfig(file: string | undefined): Promise<ParsedMeshConfig> {
  if (file === undefined) return { config: DEFAULT_MESH_CONFIG, diagnostics: [] };
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const unreadable: Diagnostic = {
      code: 'TRY0903',
      severity: 'error',
      object: 'MeshConfig',
      source: { file, line: 1 },
      message: `${file} cannot be read: ${errorMessage(error)}`,
      remedy:
        errorCode(error) === 'ENOENT'
          ? 'Create it (an empty file means the defaults), or correct mesh.config in agent.yaml.'
          : 'Make it readable for the user of the agent.',
    };
    return { config: undefined, diagnostics: [unreadable] };
  }
  const { parseMeshConfig } = await import('../sources/mesh-config.ts');
  return parseMeshConfig(text, file);
}

/**
 * As `readMeshConfig`, for a start that needs one.
 * @throws TrysailError `MESH_CONFIG_INVALID` with every fault of the file
 */
export async function loadMeshConfig(
  file: string | undefined,
): Promise<{ readonly config: MeshConfig; readonly diagnostics: readonly Diagnostic[] }> {
  const { config, diagnostics } = await readMeshConfig(file);
  if (config !== undefined) return { config, diagnostics };
  const [first] = diagnostics;
  throw first?.code === 'TRY0903'
    ? new TrysailError('MESH_CONFIG_INVALID', first.message, { remedy: first.remedy ?? 'Correct the file.' })
    : new TrysailError('MESH_CONFIG_INVALID', diagnostics.map(formatDiagnostic).join('\n'), {
        remedy: 'Correct the file; trysail check looks at all of it.',
      });
}
