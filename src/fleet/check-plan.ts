/** What a change would do to the whole fleet's configuration: errors refuse it, warnings are told. */
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import type { Mesh } from '../model/mesh.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import { buildMesh } from '../sources/build-mesh.ts';
import { publishedRecords } from '../sources/published-records.ts';
import { type ResourceFile, readResources } from '../sources/resource-reader.ts';
import type { ResourceSet } from '../sources/resource-set.ts';
import type { NamespaceChanges } from './compose-head.ts';
import { type Manifest, writtenLine } from './manifest.ts';
import { type Loaded, plannedFiles } from './planned-files.ts';

/** Where the user wrote what is to be published, by `kind/namespace/name`. */
export type Places = ReadonlyMap<string, Pick<Manifest, 'source' | 'lines'>>;

/** A place in the text of a new resource as the place where the user wrote it. */
function placed(diagnostic: Diagnostic, places: Places): Diagnostic {
  const { source } = diagnostic;
  const place = source?.file.startsWith('new:') === true ? places.get(source.file.slice('new:'.length)) : undefined;
  if (place === undefined || source === undefined) return diagnostic;
  return { ...diagnostic, source: { file: place.source.file, line: writtenLine(place.lines, source.line) } };
}

/** All that is to be said of a mesh that these resources make; what their reading found is in `mesh.diagnostics`. */
export type Judge = (mesh: Mesh, resources: ResourceSet, files: readonly ResourceFile[]) => readonly Diagnostic[];

const AS_READ: Judge = ({ diagnostics }) => diagnostics;

function analyse(
  published: ResourceSet,
  files: readonly ResourceFile[],
  config: MeshConfig,
  judge: Judge,
): readonly Diagnostic[] {
  const { records, diagnostics } = publishedRecords(published.serviceRecords, config);
  const resources: ResourceSet = {
    ...published,
    serviceRecords: records,
    diagnostics: [...published.diagnostics, ...diagnostics],
  };
  // What runs is Consul's to say: a host by the mesh's templates may well exist.
  const catalogue = { services: new Map(), diagnostics: [] };
  return judge(buildMesh(undefined, { config, resources, catalogue, localServices: [] }), resources, files);
}

const identity = ({ code, object, path, message }: Diagnostic): string =>
  JSON.stringify([code, object, path, message.replace(/ \([^)]*\)$/, '')]);

/**
 * The diagnostics that a change brings: those of what it writes, and those that were not there before.
 * @param all what is published now, of every namespace that can be read
 */
export function checkPlan(
  all: readonly Loaded[],
  changes: readonly NamespaceChanges[],
  places: Places,
  config: MeshConfig = DEFAULT_MESH_CONFIG,
  judge: Judge = AS_READ,
): readonly Diagnostic[] {
  const files = plannedFiles(all, changes);
  const old = readResources(undefined, files.before);
  // What stays is not read twice; what is faulty now does not count as it was before.
  const next = readResources({ ...old, held: new Map() }, files.after);
  const after = analyse(next.set, files.after, config, judge);
  const before = new Set(analyse(old.set, files.before, config, judge).map(identity));
  return after
    .filter((one) => one.source?.file.startsWith('new:') === true || !before.has(identity(one)))
    .map((one) => placed(one, places))
    .sort(compareDiagnostics);
}
