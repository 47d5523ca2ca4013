/** MeshConfig as a resource: what holds for the whole mesh, published like any other configuration. */
import type { MeshConfig } from './mesh-config.ts';
import type { ResourceMeta } from './resource-meta.ts';

/** The one name that a MeshConfig may have. */
export const MESH_SETTINGS_NAME = 'mesh';

export interface MeshSettings {
  readonly meta: ResourceMeta;
  /** The fields that it gives, as its API names them. */
  readonly fields: readonly string[];
  /** The same in the model's form; each stands in the place of the host's. */
  readonly config: Partial<MeshConfig>;
}

/** Whether it counts: there is one for the mesh, and it stands in the root namespace. */
export function isOfMesh({ meta }: Pick<MeshSettings, 'meta'>, rootNamespace: string): boolean {
  return meta.namespace === rootNamespace && meta.name === MESH_SETTINGS_NAME;
}

/** The one that counts, if there is one. */
export function meshSettingsOf(
  settings: readonly MeshSettings[],
  { rootNamespace }: Pick<MeshConfig, 'rootNamespace'>,
): MeshSettings | undefined {
  return settings.find((one) => isOfMesh(one, rootNamespace));
}

/** The host's mesh configuration with what is published for the mesh. */
export function withMeshSettings(config: MeshConfig, settings: readonly MeshSettings[]): MeshConfig {
  const published = meshSettingsOf(settings, config);
  return published === undefined ? config : { ...config, ...published.config };
}
