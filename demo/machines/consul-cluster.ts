/** Consul on the machines: one server on the registry, a client agent on every other, joined by gossip. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CONSUL_PORT, MACHINES, type Machine, REGISTRY } from '../topology.ts';
import { httpFrom } from './http.ts';
import type { Network } from './network.ts';
import { logTail, type Program, type Programs } from './programs.ts';
import { waitFor } from './wait.ts';

export interface ConsulCluster {
  /** Such as `http://127.0.0.1:8500`: valid on that machine. */
  addressOn(machine: Machine): string;
  /** Calls Consul's HTTP API through a machine's own agent, from that machine. Returns the answer's text. */
  call(machine: Machine, method: 'GET' | 'PUT', path: string, body?: unknown): Promise<string>;
}

interface ClusterOptions {
  readonly network: Network;
  readonly programs: Programs;
  readonly consulBinary: string;
  readonly signal: AbortSignal;
}

/** Starts Consul everywhere and waits until all agents see each other alive. Throws TrysailError `DEMO_TIMEOUT`. */
export async function startConsulCluster(options: ClusterOptions): Promise<ConsulCluster> {
  const { network, signal } = options;
  const addressOn = (machine: Machine): string => `http://${network.loopbackOf(machine)}:${CONSUL_PORT}`;
  const cluster: ConsulCluster = {
    addressOn,
    call: (machine, method, path, body) => httpFrom(network, machine, `${addressOn(machine)}${path}`, { method, body }),
  };

  const server = await startAgent(options, REGISTRY, {
    server: true,
    bootstrap_expect: 1,
    performance: { raft_multiplier: 1 },
  });
  await waitForCluster('Consul has a leader', [server], signal, async () => {
    const leader: unknown = JSON.parse(await cluster.call(REGISTRY, 'GET', '/v1/status/leader'));
    return leader !== '';
  });

  const clients = await Promise.all(
    MACHINES.filter((machine) => machine !== REGISTRY).map((machine) =>
      startAgent(options, machine, { retry_join: [network.addressOf(REGISTRY)], retry_interval: '1s' }),
    ),
  );
  await waitForCluster('all Consul agents are members', [server, ...clients], signal, async () => {
    const nodes: unknown = JSON.parse(await cluster.call(REGISTRY, 'GET', '/v1/health/state/passing'));
    return Array.isArray(nodes) && nodes.length === MACHINES.length;
  });
  return cluster;
}

async function startAgent(
  { network, programs, consulBinary }: ClusterOptions,
  machine: Machine,
  role: Readonly<Record<string, unknown>>,
): Promise<Program> {
  const folder = programs.folderOf(machine);
  const file = join(folder, 'consul.json');
  const config = {
    node_name: machine.name,
    datacenter: 'bookshop',
    bind_addr: network.addressOf(machine),
    client_addr: network.loopbackOf(machine),
    data_dir: join(folder, 'consul'),
    ports: { http: CONSUL_PORT, dns: -1, grpc: -1, serf_wan: -1 },
    disable_update_check: true,
    log_level: 'warn',
    ...role,
  };
  await writeFile(file, JSON.stringify(config, undefined, 2));
  return programs.start(machine, 'consul', [consulBinary, 'agent', '-config-file', file]);
}

async function waitForCluster(
  what: string,
  agents: readonly Program[],
  signal: AbortSignal,
  attempt: () => Promise<boolean>,
): Promise<void> {
  let failed: Program | undefined;
  await waitFor({ what, timeoutMs: 120_000, signal, everyMs: 100 }, async () => {
    failed = agents.find((agent) => agent.hasEnded());
    return failed !== undefined || attempt();
  });
  if (failed !== undefined)
    throw new Error(`Consul on ${failed.machine.name} ended at its start:\n${await logTail(failed)}`);
}
