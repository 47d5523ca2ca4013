/** The bookshop's applications on their machines: plain HTTP on loopback, nothing of the mesh in them. */
import { join } from 'node:path';
import { APPLICATION_PORT, MESH_MACHINES, type MeshMachine, PRODUCTPAGE, UPSTREAM_PORTS } from '../topology.ts';
import { httpFrom } from './http.ts';
import type { Network } from './network.ts';
import { logTail, type Program, type Programs } from './programs.ts';
import { waitFor } from './wait.ts';

export interface Applications {
  start(machine: MeshMachine): Program;
  /** The running (or last) program on a machine. */
  of(machine: MeshMachine): Program;
  /** Unix socket at which the productpage can be reached from the outside of its machine. */
  readonly pageSocket: string;
}

interface ApplicationOptions {
  readonly network: Network;
  readonly programs: Programs;
  readonly signal: AbortSignal;
}

/** Where an instance's application listens, `host:port`. */
export function applicationAddress(network: Network, machine: MeshMachine): string {
  return `${network.loopbackOf(machine)}:${APPLICATION_PORT}`;
}

/** Starts all applications and waits until they answer. Throws an Error with the log of one that ended. */
export async function startApplications(options: ApplicationOptions): Promise<Applications> {
  const { network, programs, signal } = options;
  const pageSocket = join(programs.folderOf(PRODUCTPAGE), 'page.sock');
  const running = new Map<string, Program>();
  const start = (machine: MeshMachine): Program => {
    const { service, version, calls } = machine.runs;
    const argv = [
      [process.execPath, join(import.meta.dirname, '../bookshop', `${service}.ts`)],
      ['--service', service, '--service-version', version, '--instance', machine.name],
      ['--listen', applicationAddress(network, machine)],
      machine === PRODUCTPAGE ? ['--socket', pageSocket] : [],
      calls.flatMap((called) => ['--upstream', `${called}=${network.loopbackOf(machine)}:${UPSTREAM_PORTS[called]}`]),
    ].flat();
    const program = programs.start(machine, service, argv);
    running.set(machine.name, program);
    return program;
  };
  const of = (machine: MeshMachine): Program => running.get(machine.name) ?? start(machine);

  await Promise.all(
    MESH_MACHINES.map(async (machine) => {
      const program = start(machine);
      const url = `http://${applicationAddress(network, machine)}/health`;
      await waitFor({ what: `${machine.name} answers /health`, timeoutMs: 120_000, signal }, async () => {
        if (program.hasEnded()) return true;
        await httpFrom(network, machine, url);
        return true;
      });
      if (program.hasEnded()) throw new Error(`${machine.name} ended at its start:\n${await logTail(program)}`);
    }),
  );
  return { start, of, pageSocket };
}
