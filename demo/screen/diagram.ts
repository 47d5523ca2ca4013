/** The topology as a drawing. */
import type { Network } from '../machines/network.ts';
import { MACHINES, MESH_MACHINES } from '../topology.ts';
import { bold, dim } from './style.ts';
import { table } from './table.ts';

const CALLS = `
                  ┌─▶ details-1, details-2
   productpage ───┤
                  └─▶ reviews  v1 ☆ none   v2 ★ black   v3 ★ red
                                              │            │
                                              └────────────┴──▶ ratings-1, ratings-2
`;

/** Who calls whom, and what runs where. */
export function diagram(network: Network): string {
  const kind = network.mode === 'namespaces' ? 'network namespaces' : 'loopback addresses';
  const rows = MACHINES.map((machine) => {
    const runs = machine.runs;
    const what =
      runs === undefined
        ? 'Consul server, CA (trysail server)'
        : `${runs.service} ${runs.version}, trysail agent, Envoy, Consul agent`;
    return [bold(machine.name), network.addressOf(machine), what];
  });
  return [
    `${MACHINES.length} machines as ${kind}, ${MESH_MACHINES.length} of them in the mesh`,
    dim(CALLS.replace(/^\n/, '').trimEnd()),
    '',
    table(['machine', 'address', 'runs'], rows),
  ].join('\n');
}
