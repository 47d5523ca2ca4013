/** Which kind of machines this computer and user can have. */
import { errorMessage } from '../../src/lib/errors.ts';
import type { Screen } from '../screen/screen.ts';
import { MACHINES } from '../topology.ts';
import { takeLoopbackRange } from './loopback.ts';
import { createNamespaces, namespacePrefix } from './namespaces.ts';
import type { Network } from './network.ts';
import type { RunFolder } from './run-folder.ts';

/** Namespaces for root, unless `loopback` is asked for or they cannot be made (said so); loopback addresses otherwise. */
export async function createNetwork(run: RunFolder, loopback: boolean, screen: Screen): Promise<Network> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot && !loopback) {
    try {
      return await screen.step(
        `${MACHINES.length} machines as network namespaces ${namespacePrefix(run.id)}-*, joined by a bridge`,
        () => createNamespaces(run.id, MACHINES),
      );
    } catch (error) {
      screen.text(`no network namespaces here (${errorMessage(error)}); using loopback addresses`);
    }
  }
  const why = loopback ? 'as asked' : isRoot ? 'instead' : 'network namespaces need root';
  return screen.step(`${MACHINES.length} machines as loopback addresses (${why})`, takeLoopbackRange);
}
