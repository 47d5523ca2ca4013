/** MeshConfig as a resource: what holds for the whole mesh, published like any other configuration. */
import type { MeshConfig } from './mesh-config.ts';
import type { ResourceMeta } from './resource-meta.ts';

/** The one name that a MeshConfig may have. */
export const MESH_SETTINGS_NAME = 'mesh';

export interface MeshSettings {
  readonly meta: ResourceMeta;
  /** The fields that it gives; each stands in the place of the host's. */
  readonly config: Partial<MeshConfig>;
}

/** Whether it counts: there is one for the mesh, and it stands in the root namespace. */
export function isOfMesh({ meta }: MeshSettings, rootNamespace: string): boolean {
  return meta.namespace === rootNamespace && meta.name === MESH_SETTINGS_NAME;
}

/** The host's mesh configuration with what is published for the mesh. */
export function withMeshSettings(config: MeshConfig, settings: readonly MeshSettings[]): MeshConfig {
  const published = settings.find((one) => isOfMesh(one, config.rootNamespace));
  return published === undefined ? config : { ...config, ...published.config };
}
