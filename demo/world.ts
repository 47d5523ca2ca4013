/** Everything that runs in the demo, as its scenarios use it, and how it is brought up. */
import { join } from 'node:path';
import { type Load, startLoad } from './load/load.ts';
import { type Applications, applicationAddress, startApplications } from './machines/applications.ts';
import { type ConsulCluster, startConsulCluster } from './machines/consul-cluster.ts';
import type { Network } from './machines/network.ts';
import { RUN_VARIABLE } from './machines/process-table.ts';
import { Programs } from './machines/programs.ts';
import type { RunFolder } from './machines/run-folder.ts';
import { type Agent, startAgent } from './mesh/agents.ts';
import { resilienceRules, reviewsRouting, serviceRecords } from './mesh/bookshop-resources.ts';
import { startAuthority } from './mesh/certificate-authority.ts';
import { beginFleet, type Fleet } from './mesh/fleet.ts';
import { createMeshFiles, type MeshFiles } from './mesh/mesh-files.ts';
import type { Screen } from './screen/screen.ts';
import { MACHINES, MESH_MACHINES, PRODUCTPAGE, REGISTRY } from './topology.ts';

export const ROOT = join(import.meta.dirname, '..');

export interface World {
  readonly network: Network;
  readonly programs: Programs;
  readonly consul: ConsulCluster;
  readonly applications: Applications;
  readonly files: MeshFiles;
  readonly fleet: Fleet;
  readonly screen: Screen;
  /** Aborted by Ctrl-C; every wait ends with it. */
  readonly signal: AbortSignal;
  /** The agent of the machine of that name. Throws for a machine without one. */
  agent(name: string): Agent;
  readonly agents: readonly Agent[];
  /** GETs of the product page's JSON, at a constant rate, from the productpage's own machine. */
  startLoad(requestsPerSecond: number): Load;
}

interface WorldOptions {
  readonly network: Network;
  readonly run: RunFolder;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

/** The product page's JSON, as its own machine reaches it. */
export function productUrl(network: Network): string {
  return `http://${applicationAddress(network, PRODUCTPAGE)}/api/v1/products/1`;
}

/** Starts Consul, the CA, the bookshop and the agents; returns when all are ready. */
export async function startWorld({ network, run, screen, signal }: WorldOptions): Promise<World> {
  const programs = new Programs(network, run);
  const trysail = join(ROOT, 'scripts/trysail');
  const consulBinary = join(ROOT, '.tools/consul/consul');
  const envoyBinary = join(ROOT, '.tools/envoy/envoy');

  const consul = await screen.step(`Consul: one server, ${MACHINES.length - 1} client agents`, () =>
    startConsulCluster({ network, programs, consulBinary, signal }),
  );
  const authority = await screen.step('certificate authority', () =>
    startAuthority({ network, programs, trysail, signal }),
  );
  const fleet = await screen.step('configuration of all hosts in Consul: a root, a publisher', () =>
    beginFleet({ network, programs, trysail, consulAddress: consul.addressOn(REGISTRY) }),
  );
  const applications = await screen.step(`bookshop: ${MESH_MACHINES.length} applications, plain HTTP on loopback`, () =>
    startApplications({ network, programs, signal }),
  );
  const files = await createMeshFiles(join(run.path, 'mesh'));
  await files.write('services', serviceRecords());
  await files.write('resilience', resilienceRules());
  await files.write('reviews', reviewsRouting({ v1: 100, v3: 0 }));
  const agents = await screen.step(`${MESH_MACHINES.length} Trysail agents, each with its Envoy`, async () => {
    const started = await Promise.all(
      MESH_MACHINES.map((machine) =>
        startAgent(machine, {
          network,
          programs,
          trysail,
          envoyBinary,
          consulAddress: consul.addressOn(machine),
          authority,
          files,
          fleet,
          signal,
        }),
      ),
    );
    await Promise.all(started.map((agent) => agent.ready(60_000)));
    await Promise.all(started.map((agent) => agent.seesAll()));
    return started;
  });

  return {
    network,
    programs,
    consul,
    applications,
    files,
    fleet,
    screen,
    signal,
    agents,
    agent: (name) => {
      const found = agents.find((agent) => agent.machine.name === name);
      if (found === undefined) throw new Error(`no agent on a machine "${name}"`);
      return found;
    },
    startLoad: (requestsPerSecond) =>
      startLoad({
        url: productUrl(network),
        requestsPerSecond,
        commandOn: (argv) => network.commandOn(PRODUCTPAGE, argv),
        env: { [RUN_VARIABLE]: run.path },
      }),
  };
}
