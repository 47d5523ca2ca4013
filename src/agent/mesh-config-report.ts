/** Which mesh configuration holds on this host: its file, and what a MeshConfig says in the place of the file's fields. */
import type { MeshConfigStatus } from '../api/status.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { type MeshSettings, meshSettingsOf } from '../model/mesh-settings.ts';

/** @param settings the MeshConfigs that this host has, those included that do not count */
export function reportMeshConfig(
  file: string | undefined,
  config: Pick<MeshConfig, 'rootNamespace'>,
  settings: readonly MeshSettings[],
): MeshConfigStatus {
  const published = meshSettingsOf(settings, config);
  return {
    ...(file === undefined ? {} : { file }),
    ...(published === undefined
      ? {}
      : { resource: { source: published.meta.source.file, fields: published.fields.toSorted() } }),
  };
}
