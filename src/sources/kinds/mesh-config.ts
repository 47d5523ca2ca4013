/** MeshConfig, Istio's mesh configuration as a resource of ours: what may change while hosts stay who they are. */
import type { MeshSettings } from '../../model/mesh-settings.ts';
import { meshConfigFields } from '../mesh-config-fields.ts';
import { MESH_CONFIG_UNSUPPORTED, type MeshConfigSpec, meshConfigSchema } from '../mesh-config-schema.ts';
import { DEFAULT_CONFIG_WITHOUT_EFFECT, MESH_CONFIG_WITHOUT_EFFECT } from '../mesh-config-without-effect.ts';
import { ignored, refused, type UnsupportedField } from '../unsupported-fields.ts';
import { defineKind } from './kind.ts';

/** By these a host is somebody before it reads what is published. */
const OF_THE_HOST = ['trustDomain', 'trustDomainAliases', 'rootNamespace', 'serviceHosts', 'catalogue'];

function ofTheHost(path: string, remedy: string): UnsupportedField {
  return { ...refused(path, remedy), why: 'is for each host to say, not for what is published' };
}

export const meshConfigKind = defineKind({
  kind: 'MeshConfig',
  apiVersions: ['trysail.dev/v1'],
  schema: meshConfigSchema,
  unsupported: [
    ...OF_THE_HOST.map((path) => ofTheHost(path, 'Write it in meshconfig.yaml of the hosts.')),
    // A filter can undo every policy and read what Envoy may read: who allows one is the owner of the host.
    ofTheHost('envoyFilters', 'Write it in meshconfig.yaml of the hosts: only their owners let EnvoyFilters count.'),
    ignored('defaultConfig.concurrency', 'Publish a ProxyConfig in the root namespace: it says "concurrency".'),
    ...Object.entries(DEFAULT_CONFIG_WITHOUT_EFFECT).map(([name, remedy]) => ignored(`defaultConfig.${name}`, remedy)),
    ...Object.entries(MESH_CONFIG_WITHOUT_EFFECT).map(([name, remedy]) => ignored(name, remedy)),
  ],
  build(meta, spec, report): MeshSettings {
    const { defaultConfig, ...rest } = spec;
    const { gatewayTopology } = defaultConfig ?? {};
    const counting: MeshConfigSpec =
      gatewayTopology === undefined ? rest : { ...rest, defaultConfig: { gatewayTopology } };
    const fields = Object.keys(counting).filter((name) => !MESH_CONFIG_UNSUPPORTED.includes(name));
    return { meta, fields, config: meshConfigFields(counting, report) };
  },
});
