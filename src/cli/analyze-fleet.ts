/** `trysail analyze --fleet`: reads all that is published, and Consul's catalogue, and looks at both. */
import { errorMessage } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { type FleetOptions, withFleet } from './fleet-options.ts';
import { printable } from './output.ts';

/** Services of Consul that are read. */
const MAX_SERVICES = 5000;

/** @throws TrysailError `FLEET_…`, `CONSUL_…`, `MESH_CONFIG_INVALID` */
export async function analyzeFleet(options: FleetOptions, mesh: string | undefined): Promise<readonly Diagnostic[]> {
  const { fleetCatalogue, proposeApply } = await import('../fleet/fleet.ts');
  const { analyzePublished } = await import('../analysis/analyze-published.ts');
  const config =
    mesh === undefined
      ? DEFAULT_MESH_CONFIG
      : (await (await import('../agent/agent-files.ts')).loadMeshConfig(mesh)).config;
  return await withFleet(options, async (fleet) => {
    const { files } = await proposeApply(fleet, { manifests: [] });
    const read = await fleetCatalogue(fleet, MAX_SERVICES).catch((error: unknown) => {
      process.stderr.write(`Services of Consul are not known: ${printable(errorMessage(error))}\n`);
      return undefined;
    });
    // A token that may see no service looks like a Consul that has none.
    const isWhole = read !== undefined && read.left === 0 && read.catalogue.services.size > 0;
    return analyzePublished(files.after, config, isWhole ? read.catalogue : undefined);
  });
}
