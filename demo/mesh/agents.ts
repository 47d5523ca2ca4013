/** The Trysail agents of the demo's machines: their files, their processes, and what they say of themselves. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { callApi } from '../../src/api/client.ts';
import type { Status } from '../../src/api/status.ts';
import { errorMessage } from '../../src/lib/errors.ts';
import { applicationAddress } from '../machines/applications.ts';
import type { Network } from '../machines/network.ts';
import { type ProcessEntry, processesOf } from '../machines/process-table.ts';
import { logTail, type Program, type Programs } from '../machines/programs.ts';
import { waitFor } from '../machines/wait.ts';
import { MESH_MACHINES, type MeshMachine, SERVICE_PORT, UPSTREAM_PORTS } from '../topology.ts';
import { LOCALITY } from './bookshop-resources.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import type { Fleet } from './fleet.ts';
import type { MeshFiles } from './mesh-files.ts';

/** The agent of one machine. */
export interface Agent {
  readonly machine: MeshMachine;
  readonly configFile: string;
  readonly socket: string;
  /** The agent's process that was started last. */
  readonly program: () => Program;
  start(): void;
  status(): Promise<Status>;
  /** Renews the workload's certificate now. */
  rotate(): Promise<void>;
  /** The machine's Envoys according to the kernel, not to the agent. */
  envoys(): Promise<readonly ProcessEntry[]>;
  /** Waits until it sees all instances of the services that its machine calls healthy. */
  seesAll(): Promise<void>;
  /** Waits until Envoy is ready, the workload has its certificate and Consul knows the service. */
  ready(timeoutMs?: number): Promise<void>;
}

export interface AgentOptions {
  readonly network: Network;
  readonly programs: Programs;
  /** Path of `scripts/trysail`. */
  readonly trysail: string;
  readonly envoyBinary: string;
  readonly consulAddress: string;
  readonly authority: CertificateAuthority;
  readonly files: MeshFiles;
  readonly fleet: Fleet;
  readonly signal: AbortSignal;
}

/** Writes a machine's agent.yaml and join token, and starts its agent; does not wait for it. */
export async function startAgent(machine: MeshMachine, options: AgentOptions): Promise<Agent> {
  const { programs, trysail, authority, signal } = options;
  const folder = programs.folderOf(machine);
  const configFile = join(folder, 'agent.yaml');
  const tokenFile = join(folder, 'join.token');
  const runFolder = join(folder, 'run');
  const socket = join(runFolder, 'api.sock');
  await writeFile(tokenFile, await authority.token(machine.runs.service), { mode: 0o600 });
  await writeFile(configFile, stringify(agentConfig(machine, options, { folder, runFolder, tokenFile })));

  const launch = (): Program => programs.start(machine, 'agent', [trysail, 'agent', '--config', configFile]);
  let program = launch();
  const status = (): Promise<Status> => callApi(socket, 'status', undefined, { signal });
  return {
    machine,
    configFile,
    socket,
    program: () => program,
    start: () => {
      program = launch();
    },
    status,
    rotate: async () => {
      await callApi(socket, 'rotate', {}, { signal });
    },
    envoys: async () => (await processesOf(folder)).filter((entry) => entry.program === 'envoy'),
    seesAll: async () => {
      const what = `${machine.name} sees all instances of ${machine.runs.calls.join(' and ')} healthy`;
      await waitFor({ what, timeoutMs: 120_000, signal, everyMs: 100 }, async () => {
        const unseen = (await status()).upstreams.find(({ service, endpoints }) => {
          const all = MESH_MACHINES.filter(({ runs }) => service.startsWith(`${runs.service}.`)).length;
          return endpoints.healthy < all;
        });
        if (unseen !== undefined) throw new Error(`${unseen.service}: ${unseen.endpoints.healthy} healthy`);
        return true;
      });
    },
    ready: async (timeoutMs = 120_000) => {
      try {
        await waitFor({ what: `the agent of ${machine.name} is ready`, timeoutMs, signal, everyMs: 100 }, async () => {
          if (program.hasEnded()) return true;
          const missing = missingIn(await status());
          if (missing !== undefined) throw new Error(missing);
          return true;
        });
        if (program.hasEnded()) throw new Error('it ended');
      } catch (error) {
        throw new Error(`agent of ${machine.name}: ${errorMessage(error)}\n${await logTail(program)}`, {
          cause: error,
        });
      }
    },
  };
}

function missingIn(status: Status): string | undefined {
  const [certificate] = status.certificates.workloads;
  if (certificate?.serial === undefined) return `no certificate yet: ${certificate?.error ?? 'none asked for'}`;
  if (!status.envoy.ready) return `Envoy is not ready: ${status.envoy.error ?? status.envoy.state}`;
  const service = status.services.find((candidate) => candidate.registered !== true);
  if (service !== undefined)
    return `${service.name} is not registered: ${service.registrationError ?? 'not tried yet'}`;
  return undefined;
}

function agentConfig(
  machine: MeshMachine,
  { network, consulAddress, envoyBinary, files, fleet }: AgentOptions,
  { folder, runFolder, tokenFile }: { folder: string; runFolder: string; tokenFile: string },
): Readonly<Record<string, unknown>> {
  const { service, version, calls } = machine.runs;
  return {
    host: { name: machine.name, address: network.addressOf(machine), locality: LOCALITY },
    mesh: { config: files.configFile, resources: files.resourceFolder, fleet: { trust: fleet.trustFile } },
    registry: 'consul',
    consul: { address: consulAddress },
    identity: { provider: 'trysail-ca', ca: { joinTokenFile: tokenFile } },
    services: [
      {
        name: service,
        version,
        port: SERVICE_PORT,
        protocol: 'HTTP',
        application: applicationAddress(network, machine),
        check: { http: '/health', interval: '2s', timeout: '5s' },
      },
    ],
    upstreams: calls.map((called) => ({
      service: called,
      listen: `${network.loopbackOf(machine)}:${UPSTREAM_PORTS[called]}`,
    })),
    envoy: { binary: envoyBinary, concurrency: 1, drainTime: '1s' },
    paths: { state: join(folder, 'state'), run: runFolder },
  };
}
