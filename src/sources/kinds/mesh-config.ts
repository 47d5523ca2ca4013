/** MeshConfig, Istio's mesh configuration as a resource of ours: what may change while hosts stay who they are. */
import type { MeshSettings } from '../../model/mesh-settings.ts';
import { meshConfigFields } from '../mesh-config-fields.ts';
import { MESH_CONFIG_UNSUPPORTED, meshConfigSchema } from '../mesh-config-schema.ts';
import { ignored, refused } from '../unsupported-fields.ts';
import { defineKind } from './kind.ts';

const OF_THE_HOST =
  'Write it in meshconfig.yaml of the hosts: they are somebody by it before they read what is published.';

export const meshConfigKind = defineKind({
  kind: 'MeshConfig',
  apiVersions: ['trysail.dev/v1'],
  schema: meshConfigSchema,
  unsupported: [
    ...['trustDomain', 'trustDomainAliases', 'rootNamespace', 'serviceHosts', 'catalogue'].map((path) =>
      refused(path, OF_THE_HOST),
    ),
    ignored('defaultConfig', 'Publish a ProxyConfig in the root namespace: it says "concurrency".'),
    ...MESH_CONFIG_UNSUPPORTED.map((path) => ignored(path)),
  ],
  build: (meta, spec, report): MeshSettings => ({ meta, config: meshConfigFields(spec, report) }),
});
