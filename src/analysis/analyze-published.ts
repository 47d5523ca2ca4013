/** What is wrong or doubtful in all that is published for a fleet, held against what Consul's catalogue has. */
import type { Diagnostic } from '../model/diagnostic.ts';
import { consulNameOf, serviceOfHost } from '../model/host-names.ts';
import type { Mesh } from '../model/mesh.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { buildMesh } from '../sources/build-mesh.ts';
import type { CatalogueState } from '../sources/catalogue-state.ts';
import { publishedRecords } from '../sources/published-records.ts';
import { parseResources, type ResourceFile } from '../sources/resource-reader.ts';
import { destinationsOf } from '../sources/virtual-service-destinations.ts';
import { analyzeResources } from './analyze.ts';

const EMPTY: CatalogueState = { services: new Map(), diagnostics: [] };

/** The catalogue with an empty entry for each name that a route leads to and nobody has: as for a host that looked for it. */
function withAbsent(catalogue: CatalogueState, { config, services, virtualServices }: Mesh): CatalogueState {
  const led = virtualServices.flatMap((one) => destinationsOf(one).map(({ destination }) => destination.host));
  const absent = led.flatMap((host): [string, readonly []][] => {
    const name = services.has(host) ? undefined : serviceOfHost(config, host);
    const consulName = name === undefined ? undefined : consulNameOf(name);
    return consulName === undefined || catalogue.services.has(consulName) ? [] : [[consulName, []]];
  });
  return { ...catalogue, services: new Map([...catalogue.services, ...absent]) };
}

/** @param catalogue all of it; undefined: it is not known, or not whole, and services may be in it that no resource names */
export function analyzePublished(
  files: readonly ResourceFile[],
  config: MeshConfig,
  catalogue: CatalogueState | undefined,
): readonly Diagnostic[] {
  const published = parseResources(files);
  const { records, diagnostics } = publishedRecords(published.serviceRecords, config);
  const resources = {
    ...published,
    serviceRecords: records,
    diagnostics: [...published.diagnostics, ...diagnostics],
  };
  const built = (of: CatalogueState): Mesh =>
    buildMesh(undefined, { config, resources, catalogue: of, localServices: [] });
  const mesh = catalogue === undefined ? built(EMPTY) : built(withAbsent(catalogue, built(catalogue)));
  return analyzeResources(mesh, files, resources, { mayBeElsewhere: catalogue === undefined });
}
