/** MeshConfigs that do not count. */
import type { Diagnostic } from '../model/diagnostic.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { isOfMesh, MESH_SETTINGS_NAME, type MeshSettings } from '../model/mesh-settings.ts';
import { describeObject } from '../model/resource-meta.ts';

export function checkMeshSettings(
  { rootNamespace }: Pick<MeshConfig, 'rootNamespace'>,
  settings: readonly MeshSettings[],
): readonly Diagnostic[] {
  return settings
    .filter((one) => !isOfMesh(one, rootNamespace))
    .map(({ meta }) => ({
      code: 'TRY0008',
      severity: 'error',
      object: describeObject(meta),
      source: meta.source,
      message: `is not ${rootNamespace}/${MESH_SETTINGS_NAME}, the one MeshConfig of the mesh; it has no effect`,
      remedy: `Name it "${MESH_SETTINGS_NAME}" in the root namespace, ${rootNamespace}.`,
    }));
}
