/** A drawn case: resources, mesh configuration and host; how often a property is tried, and how a failure is repeated. */
import * as fc from 'fast-check';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import type { Resources } from '../../src/xds/resource.ts';
import { some } from '../traffic/odd-routes.ts';
import { anyHost } from './any-host.ts';
import { anyResources } from './any-resources.ts';
import { exportTo, filesOf, NAMESPACES, type Written } from './words.ts';

/** The same cases each time: a run that fails by chance tells of no change. Others are for `PROPERTY_SEED`. */
const SEED = 20_260_101;
const MOST_MS = 90_000;
const HOUR_MS = 3_600_000;

export interface Drawn {
  readonly resources: readonly Written[];
  readonly config: MeshConfig;
  readonly host: Host;
}

export const anyConfig: fc.Arbitrary<MeshConfig> = fc
  .tuple(
    some({
      outboundTrafficPolicy: fc.constantFrom('ALLOW_ANY', 'REGISTRY_ONLY', 'ALLOW_ANY_DYNAMIC_DNS'),
      h2UpgradePolicy: fc.constantFrom('DO_NOT_UPGRADE', 'UPGRADE'),
      defaultVirtualServiceExportTo: exportTo,
      trustDomainAliases: fc.constant(['old.example']),
    }),
    fc.boolean(),
  )
  .map(([rest, hasFilters]) => ({
    ...DEFAULT_MESH_CONFIG,
    ...rest,
    ...(hasFilters && { envoyFilterNamespaces: NAMESPACES }),
  }));

export const drawn: fc.Arbitrary<Drawn> = fc.record({ resources: anyResources, config: anyConfig, host: anyHost });

export function meshOf({ resources, config }: Pick<Drawn, 'resources' | 'config'>): Mesh {
  const set = parseResources(filesOf(resources));
  return buildMesh(undefined, { config, resources: set, catalogue: undefined, localServices: [] });
}

/** To compare resources: type, name and content of each. */
export function bytes(resources: Resources): readonly string[] {
  return [...resources].flatMap(([type, byName]) =>
    [...byName].map(([name, { value }]) => `${type} ${name} ${Buffer.from(value).toString('base64')}`),
  );
}

/**
 * How often a property is tried. `PROPERTY_RUNS`, `PROPERTY_SEED` and `PROPERTY_PATH` say otherwise; a failure prints the
 * last two. `PROPERTY_SEED=$RANDOM` draws others.
 */
export function tries(numRuns: number): fc.Parameters<unknown> {
  const { PROPERTY_RUNS: runs, PROPERTY_SEED: seed, PROPERTY_PATH: path } = process.env;
  return {
    numRuns: runs === undefined ? numRuns : Number(runs),
    seed: seed === undefined ? SEED : Number(seed),
    ...(path !== undefined && { path }),
    // On a slow machine fewer are tried; a failure is one all the same, less shrunk.
    interruptAfterTimeLimit: runs === undefined ? MOST_MS : HOUR_MS,
  };
}
