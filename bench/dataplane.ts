// Benchmark (d): requests a second, Envoy's CPU and latency through a pair of our sidecars, against the same Envoy with
// the smallest hand-written configuration for the same work. Rounds alternate, so that a noisy machine is noisy for both.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTestRoot } from '../test/support/certificates.ts';
import { startChild } from '../test/support/child.ts';
import { eventually } from '../test/support/eventually.ts';
import { startCa, startHost } from '../test/support/local-mesh.ts';
import { freePorts } from '../test/support/ports.ts';
import { envoyBinary } from '../test/support/tools.ts';
import type { Report } from './main.ts';
import { minimalApplication, minimalClient, minimalServer } from './minimal-envoy.ts';
import { type BenchOwner, createOwner } from './owner.ts';
import { cpuMs, median } from './process-usage.ts';

const ROUNDS = 7;
const ROUND_SECONDS = 3;
const CONNECTIONS = 16;
/** Rate of the latency rounds, requests a second: far below saturation. */
const LATENCY_RATE = 1000;

const execute = promisify(execFile);

interface Variant {
  readonly name: string;
  readonly url: string;
  readonly envoyPids: readonly number[];
  readonly rates: number[];
  readonly cpuUs: number[];
  readonly p50Us: number[];
  readonly p99Us: number[];
}

interface LoadResult {
  readonly requests: number;
  readonly failures: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

async function load(url: string, seconds: number, rate: number): Promise<LoadResult> {
  const args = [join(import.meta.dirname, 'load-client.ts'), url, String(CONNECTIONS), String(seconds), String(rate)];
  const { stdout } = await execute(process.execPath, args);
  return JSON.parse(stdout) as LoadResult;
}

async function startEnvoy(owner: BenchOwner, dir: string, name: string, config: object): Promise<number> {
  const file = join(dir, `${name}.json`);
  await writeFile(file, JSON.stringify(config));
  const args = ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  const child = startChild(owner, envoyBinary(), args);
  return child.process.pid ?? 0;
}

async function startMinimal(
  owner: BenchOwner,
  dir: string,
  appPort: number,
): Promise<Omit<Variant, 'rates' | 'cpuUs' | 'p50Us' | 'p99Us'>> {
  const root = await createTestRoot();
  const identity = await root.issue('spiffe://cluster.local/ns/default/sa/bench');
  const tls = {
    certificateFile: join(dir, 'cert.pem'),
    keyFile: join(dir, 'key.pem'),
    rootFile: join(dir, 'root.pem'),
  };
  await writeFile(tls.certificateFile, identity.certificatePem);
  await writeFile(tls.keyFile, identity.privateKeyPem, { mode: 0o600 });
  await writeFile(tls.rootFile, root.rootPem);
  const [clientPort = 0, serverPort = 0] = await freePorts(2);
  const server = await startEnvoy(owner, dir, 'server', minimalServer(serverPort, appPort, tls));
  const client = await startEnvoy(owner, dir, 'client', minimalClient(clientPort, serverPort, tls));
  return { name: 'minimal', url: `http://127.0.0.1:${clientPort}/`, envoyPids: [client, server] };
}

async function startOurs(
  owner: BenchOwner,
  dir: string,
  appPort: number,
): Promise<Omit<Variant, 'rates' | 'cpuUs' | 'p50Us' | 'p99Us'>> {
  const resources = join(dir, 'resources');
  await mkdir(resources, { recursive: true });
  const [servicePort = 0, upstreamPort = 0] = await freePorts(2, '127.0.0.1');
  const backendAddress = '127.0.11.2';
  await writeFile(
    join(resources, 'backend.yaml'),
    JSON.stringify({
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: 'backend', namespace: 'default' },
      spec: {
        hosts: ['backend.default.mesh'],
        location: 'MESH_INTERNAL',
        resolution: 'STATIC',
        ports: [{ number: servicePort, name: 'http', protocol: 'HTTP' }],
        endpoints: [{ address: backendAddress, serviceAccount: 'backend' }],
      },
    }),
  );
  const ca = await startCa(owner, dir);
  const common = { dir, resources, ca };
  const backend = await startHost(owner, {
    ...common,
    name: 'backend',
    address: backendAddress,
    services: [{ name: 'backend', port: servicePort, protocol: 'HTTP', application: `127.0.0.1:${appPort}` }],
  });
  const frontend = await startHost(owner, {
    ...common,
    name: 'frontend',
    address: '127.0.11.1',
    services: [{ name: 'frontend' }],
    upstreams: [{ service: 'backend', listen: `127.0.0.1:${upstreamPort}` }],
  });
  await Promise.all([backend.ready(), frontend.ready()]);
  const pids = await Promise.all([backend, frontend].map(async (host) => (await host.status())['envoy'].pid as number));
  return { name: 'trysail', url: `http://127.0.0.1:${upstreamPort}/`, envoyPids: pids };
}

async function measure(variant: Variant): Promise<void> {
  const before = variant.envoyPids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const full = await load(variant.url, ROUND_SECONDS, 0);
  const usedMs = variant.envoyPids.reduce((sum, pid) => sum + cpuMs(pid), 0) - before;
  if (full.failures > 0)
    throw new Error(`${variant.name}: ${full.failures} of ${full.requests + full.failures} requests failed`);
  variant.rates.push(full.requests / full.seconds);
  variant.cpuUs.push((usedMs * 1000) / full.requests);
  const paced = await load(variant.url, ROUND_SECONDS, LATENCY_RATE);
  variant.p50Us.push(paced.p50Us);
  variant.p99Us.push(paced.p99Us);
}

export async function run(report: Report): Promise<void> {
  const owner = createOwner();
  const dir = await mkdtemp(join(tmpdir(), 'tsb-'));
  try {
    const [appPort = 0] = await freePorts(1);
    await startEnvoy(owner, dir, 'application', minimalApplication(appPort));
    const started = [
      await startMinimal(owner, dir, appPort),
      await startOurs(owner, dir, appPort),
      { name: 'direct', url: `http://127.0.0.1:${appPort}/`, envoyPids: [] },
    ];
    const variants: Variant[] = started.map((v) => ({ ...v, rates: [], cpuUs: [], p50Us: [], p99Us: [] }));
    for (const { url, name } of variants) {
      await eventually(`${name} answers`, async () => (await fetch(url)).status === 200);
      await load(url, 1, 0);
    }
    for (let round = 0; round < ROUNDS; round += 1) for (const variant of variants) await measure(variant);
    for (const { name, rates, cpuUs, p50Us, p99Us } of variants) {
      report(`dataplane.${name}.requestsPerSecond`, median(rates), '1/s');
      if (name !== 'direct') report(`dataplane.${name}.envoyCpuUsPerRequest`, median(cpuUs), 'us');
      report(`dataplane.${name}.p50UsAt1000`, median(p50Us), 'us');
      report(`dataplane.${name}.p99UsAt1000`, median(p99Us), 'us');
    }
    const [minimal, ours] = variants;
    if (minimal === undefined || ours === undefined) return;
    // Paired by round: what slows the machine slows both halves of a pair.
    report(
      'dataplane.ratioToMinimal',
      median(ours.rates.map((rate, i) => rate / (minimal.rates[i] ?? Number.NaN))),
      'x',
    );
    report(
      'dataplane.cpuRatioToMinimal',
      median(ours.cpuUs.map((us, i) => us / (minimal.cpuUs[i] ?? Number.NaN))),
      'x',
    );
  } finally {
    await owner.end();
    await rm(dir, { recursive: true, force: true });
  }
}
