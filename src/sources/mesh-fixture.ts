/** What tests of the mesh start from: instances, YAML and a mesh of them. */
import { formatDiagnostic } from '../model/diagnostic.ts';
import type { Mesh } from '../model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { buildMesh, type MeshInputs } from './build-mesh.ts';
import type { CatalogueInstance, CatalogueState } from './catalogue-state.ts';
import { parseResources } from './resource-reader.ts';
import { EMPTY_RESOURCES, type ResourceSet } from './resource-set.ts';

export function instance(id: string, fields: Partial<CatalogueInstance> = {}): CatalogueInstance {
  const weights = { passing: 1, warning: 1 };
  const base = {
    id,
    node: 'n',
    address: '10.0.0.1',
    port: 9080,
    status: 'passing',
    tags: [],
    datacenter: 'dc1',
  } as const;
  return { ...base, meta: {}, weights, ...fields };
}

export const MTLS = { 'trysail-tls': 'mtls' };

export function catalogue(services: Readonly<Record<string, readonly CatalogueInstance[]>>): CatalogueState {
  return { services: new Map(Object.entries(services)), diagnostics: [] };
}

export function resources(text: string): ResourceSet {
  return parseResources([{ file: 'r.yaml', text }]);
}

export function build(inputs: Partial<MeshInputs>, previous?: Mesh): Mesh {
  const base = { config: DEFAULT_MESH_CONFIG, resources: EMPTY_RESOURCES, catalogue: undefined, localServices: [] };
  return buildMesh(previous, { ...base, ...inputs });
}

export const messages = (mesh: Mesh): readonly string[] => mesh.diagnostics.map(formatDiagnostic);

export const istio = (kind: string, name: string, spec: string, namespace = 'default'): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
export const record = (name: string, spec: string, namespace = 'default'): string =>
  `---\napiVersion: trysail.dev/v1\nkind: Service\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
export const route = (host: string): string => `http: [{route: [{destination: {host: ${host}}}]}]`;
