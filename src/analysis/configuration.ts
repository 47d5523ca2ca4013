/** Files → the mesh that they describe, as an agent with `registry: files` would have it. */
import { readFile } from 'node:fs/promises';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { compareDiagnostics, type Diagnostic, formatDiagnostic } from '../model/diagnostic.ts';
import type { Mesh } from '../model/mesh.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import { buildMesh } from '../sources/build-mesh.ts';
import { parseMeshConfig } from '../sources/mesh-config.ts';
import { collectPassedOver, type PassedOver, refuseNothing } from '../sources/passed-over.ts';
import { readResourceFiles } from '../sources/resource-files.ts';
import { parseResources, type ResourceFile } from '../sources/resource-reader.ts';
import type { ResourceSet } from '../sources/resource-set.ts';

/** What some files say. */
export interface Configuration {
  readonly mesh: Mesh;
  /** The same resources as they were written: hosts are not completed. */
  readonly resources: ResourceSet;
  /** What they were read from. */
  readonly files: readonly ResourceFile[];
  /** What is wrong with the files, and what they say of each other that is not so; most severe first. */
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * The mesh of these texts; pure. Documents of other programs are passed over, and told.
 * @param ofConfig what is wrong with the mesh configuration
 */
export function configurationOf(
  files: readonly ResourceFile[],
  config: MeshConfig = DEFAULT_MESH_CONFIG,
  ofConfig: readonly Diagnostic[] = [],
  passedOver: PassedOver = collectPassedOver(),
): Configuration {
  const resources = parseResources(files, passedOver.skip);
  const mesh = buildMesh(undefined, { config, resources, catalogue: undefined, localServices: [] });
  const diagnostics = [...ofConfig, ...mesh.diagnostics, ...passedOver.diagnostics()];
  return { mesh, resources, files, diagnostics: diagnostics.sort(compareDiagnostics) };
}

/** The configuration as callers of a namespace see it: of hosts that several ServiceEntries have, their own one. */
export function seenFrom(configuration: Configuration, namespace: string): Configuration {
  const { mesh: all, resources, diagnostics } = configuration;
  const { config } = all;
  const mesh = buildMesh(all, { config, resources, catalogue: undefined, localServices: [], seenFrom: namespace });
  const said = new Set(all.diagnostics);
  const rest = diagnostics.filter((one) => !said.has(one));
  return { ...configuration, mesh, diagnostics: [...rest, ...mesh.diagnostics].sort(compareDiagnostics) };
}

async function readMeshConfig(file: string): Promise<ReturnType<typeof parseMeshConfig>> {
  try {
    return parseMeshConfig(await readFile(file, 'utf8'), file);
  } catch (error) {
    throw new TrysailError('RESOURCES_UNREADABLE', `${file} cannot be read: ${errorMessage(error)}`, {
      remedy: 'Name the file of the mesh configuration by --mesh.',
    });
  }
}

const NO_CONFIG = { config: undefined, diagnostics: [] } as const;

export interface ConfigurationFiles {
  /** Files and folders of resources. */
  readonly paths: readonly string[];
  /** File of the mesh configuration; undefined: the defaults. */
  readonly meshConfig: string | undefined;
}

/**
 * Reads all files.
 * @param faulty what to do with a mesh configuration that has errors: `refuse` it, or go on with the defaults and `tell`
 * @throws TrysailError `RESOURCES_UNREADABLE`, `MESH_CONFIG_INVALID`
 */
export async function readConfiguration(
  { paths, meshConfig }: ConfigurationFiles,
  faulty: 'refuse' | 'tell' = 'refuse',
): Promise<Configuration> {
  const { files, charts } = await readResourceFiles(paths, meshConfig);
  const { config, diagnostics } = meshConfig === undefined ? NO_CONFIG : await readMeshConfig(meshConfig);
  if (meshConfig !== undefined && config === undefined && faulty === 'refuse')
    throw new TrysailError(
      'MESH_CONFIG_INVALID',
      `the mesh configuration has errors:\n${diagnostics.map(formatDiagnostic).join('\n')}`,
      { remedy: 'Correct them: what the resources mean depends on it.' },
    );
  const passedOver = collectPassedOver(charts);
  const configuration = configurationOf(files, config ?? DEFAULT_MESH_CONFIG, diagnostics, passedOver);
  refuseNothing(paths, passedOver, configuration.resources);
  return configuration;
}
