/** Plain text is accepted until a mesh-wide PeerAuthentication says STRICT; mutual TLS goes on all the time. */
import { errorMessage } from '../../src/lib/errors.ts';
import { httpFrom } from '../machines/http.ts';
import { waitFor } from '../machines/wait.ts';
import { strictEverywhere } from '../mesh/bookshop-resources.ts';
import { type MeshMachine, meshMachine, REGISTRY, SERVICE_PORT } from '../topology.ts';
import type { World } from '../world.ts';
import { failedOf, pause, type Scenario, underLoad } from './scenario.ts';

const TARGETS: readonly (readonly [machine: MeshMachine, path: string])[] = [
  [meshMachine('details-1'), '/details/1'],
  [meshMachine('ratings-2'), '/ratings/1'],
];

export const strict: Scenario = {
  name: 'STRICT',
  title: 'A client without a certificate, before and after a PeerAuthentication says STRICT for the mesh',
  run: async (world, report) => {
    for (const [machine, path] of TARGETS)
      report.check(
        (await plainCall(world, machine, path)) === 'accepted',
        `${machine.name} accepts plain text (PERMISSIVE)`,
      );
    const { figures } = await underLoad(world, report, async () => {
      const changedAt = Date.now();
      await world.files.write('strict', strictEverywhere());
      for (const [machine, path] of TARGETS) {
        const refusal = await waitFor(
          { what: `${machine.name} refuses plain text`, timeoutMs: 120_000, signal: world.signal },
          async () => {
            const outcome = await plainCall(world, machine, path);
            return outcome === 'accepted' ? undefined : outcome;
          },
        );
        // An application that does not run refuses nobody: only a connection that Envoy closes counts.
        report.check(
          /socket hang up|ECONNRESET/.test(refusal),
          `${machine.name} refuses plain text (STRICT)`,
          `${refusal}, ${Date.now() - changedAt} ms after the file was written`,
        );
      }
      await pause(world, 1000);
    });
    report.check(figures.failures === 0, 'no request of the mesh failed', failedOf(figures));
    report.highlight('plain text refused, mesh unharmed');
  },
};

async function plainCall(world: World, machine: MeshMachine, path: string): Promise<string> {
  const url = `http://${world.network.addressOf(machine)}:${SERVICE_PORT}${path}`;
  return httpFrom(world.network, REGISTRY, url).then(
    () => 'accepted',
    (error: unknown) =>
      errorMessage(error)
        .split('\n')[0]
        ?.replace(/^.* ended with \d+: /, '') ?? 'refused',
  );
}
