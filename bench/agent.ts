// Benchmark (b): a change in Consul's catalogue until Envoy's `/clusters` shows it, with 100 services of 100 instances
// each in one agent's scope; the agent's CPU for each change, and its memory with 10 services and with 10,000 endpoints.
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { bundle } from '../scripts/bundle.ts';
import { startConsul } from '../test/support/consul.ts';
import { eventually } from '../test/support/eventually.ts';
import { type LocalHost, startHost } from '../test/support/local-mesh.ts';
import { freePorts } from '../test/support/ports.ts';
import type { Report } from './main.ts';
import { type BenchOwner, createOwner } from './owner.ts';
import { cpuMs, median, percentile, rssMb } from './process-usage.ts';

const SERVICES = 100;
const INSTANCES = 100;
const CHANGES = 100;
/** Consul takes 64 operations in one transaction. */
const TRANSACTION_SIZE = 64;
/** An agent is idle when its start is forgotten: the collector of Node gives memory back after some seconds. */
const IDLE_MS = 20_000;
/** Between two changes, so that one does not wait for the other. */
const PAUSE_MS = 60;

const serviceName = (service: number): string => `svc${service}`;
const nodeAddress = (instance: number): string => `10.${100 + Math.floor(instance / 250)}.0.${(instance % 250) + 1}`;

/** One instance of a service in the catalogue, on a node of its own. */
function catalogueOperations(service: number, instance: number, port: number): object[] {
  const node = `n${instance}`;
  return [
    {
      Service: {
        Verb: 'set',
        Node: node,
        Service: {
          ID: `${serviceName(service)}-${node}`,
          Service: serviceName(service),
          Address: nodeAddress(instance),
          Port: port,
          Meta: { 'service-port': '80', version: 'v1' },
        },
      },
    },
  ];
}

async function transaction(consul: string, operations: readonly object[]): Promise<void> {
  for (let i = 0; i < operations.length; i += TRANSACTION_SIZE) {
    const response = await fetch(`${consul}/v1/txn`, {
      method: 'PUT',
      body: JSON.stringify(operations.slice(i, i + TRANSACTION_SIZE)),
    });
    if (!response.ok) throw new Error(`bench: Consul answered ${response.status}: ${await response.text()}`);
  }
}

async function fillCatalogue(consul: string): Promise<void> {
  const nodes = Array.from({ length: INSTANCES }, (_, i) => ({
    Node: { Verb: 'set', Node: { Node: `n${i}`, Address: nodeAddress(i) } },
  }));
  await transaction(consul, nodes);
  for (let service = 0; service < SERVICES; service += 1) {
    await transaction(
      consul,
      Array.from({ length: INSTANCES }, (_, i) => catalogueOperations(service, i, 8000)).flat(),
    );
  }
}

/** Part of Envoy's `/clusters`: the lines of clusters whose name matches. */
async function clusters(host: LocalHost, filter: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        socketPath: join(host.runDir, 'admin.sock'),
        path: `/clusters?filter=${encodeURIComponent(filter)}`,
        timeout: 5000,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve(Buffer.concat(chunks).toString()));
      },
    );
    call.once('error', reject);
    call.end();
  });
}

async function startAgent(owner: BenchOwner, dir: string, consul: string, services: number): Promise<LocalHost> {
  const ports = await freePorts(services);
  const host = await startHost(owner, {
    name: `bench${services}`,
    address: '127.0.12.1',
    dir,
    resources: join(dir, 'resources'),
    consul,
    upstreams: ports.map((port, i) => ({ service: serviceName(i), listen: `127.0.0.1:${port}` })),
    overrides: { log: { level: 'warn' } },
  });
  await host.ready();
  await eventually(
    `Envoy has the endpoints of ${services} services`,
    async () => {
      const lines = (await clusters(host, '^outbound')).split('\n');
      return lines.filter((line) => line.endsWith('::weight::1')).length >= services * INSTANCES;
    },
    60_000,
  );
  return host;
}

/** The instance's port changes; milliseconds from the write until Envoy lists the new one. */
async function measureChange(consul: string, host: LocalHost, change: number): Promise<number> {
  const service = (change * 37) % SERVICES;
  const instance = (change * 61) % INSTANCES;
  const port = 9000 + change;
  const filter = `^outbound\\|80\\|\\|${serviceName(service)}\\.`;
  const begin = performance.now();
  await transaction(consul, catalogueOperations(service, instance, port));
  const wanted = `::${nodeAddress(instance)}:${port}::`;
  while (!(await clusters(host, filter)).includes(wanted)) {
    if (performance.now() > begin + 30_000) throw new Error(`bench: Envoy did not get ${wanted} within 30 s`);
  }
  return performance.now() - begin;
}

export async function run(report: Report): Promise<void> {
  const owner = createOwner();
  const dir = await mkdtemp(join(tmpdir(), 'tsb-'));
  try {
    process.env['TRYSAIL_PROGRAM'] = await bundle(join(dir, 'program'));
    const consul = await startConsul(owner);
    await fillCatalogue(consul.address);

    // As installed: the program has run before, and Node has its compile cache.
    const first = await startAgent(owner, dir, consul.address, 10);
    await first.child.stop();
    const small = await startAgent(owner, dir, consul.address, 10);
    await delay(IDLE_MS);
    report('agent.rssMb.services10', rssMb(small.child.process.pid ?? 0), 'MB');
    await small.child.stop();

    const host = await startAgent(owner, dir, consul.address, SERVICES);
    const agentPid = host.child.process.pid ?? 0;
    await delay(2000);
    const latenciesMs: number[] = [];
    const before = cpuMs(agentPid);
    for (let change = 0; change < CHANGES; change += 1) {
      latenciesMs.push(await measureChange(consul.address, host, change));
      await delay(PAUSE_MS);
    }
    report('agent.endpointChange.p50Ms', median(latenciesMs), 'ms');
    report('agent.endpointChange.p99Ms', percentile(latenciesMs, 0.99), 'ms');
    report('agent.endpointChange.cpuMs', (cpuMs(agentPid) - before) / CHANGES, 'ms');
    report('agent.rssMb.endpoints10000', rssMb(agentPid), 'MB');
  } finally {
    delete process.env['TRYSAIL_PROGRAM'];
    await owner.end();
    await rm(dir, { recursive: true, force: true });
  }
}
