// Benchmark (d): requests a second, Envoy's CPU and latency through a pair of our sidecars, against the same Envoy with
// the smallest hand-written configuration for the same work. Rounds alternate, so that a noisy machine is noisy for both.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTestRoot } from '../test/support/certificates.ts';
import { eventually } from '../test/support/eventually.ts';
import { freePorts } from '../test/support/ports.ts';
import { startApplication, startEnvoy } from './application.ts';
import type { Report } from './main.ts';
import { minimalClient, minimalServer } from './minimal-envoy.ts';
import { type BenchOwner, createOwner } from './owner.ts';
import { startPair } from './pair.ts';
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

type StartedVariant = Pick<Variant, 'name' | 'url' | 'envoyPids'>;

async function startMinimal(owner: BenchOwner, dir: string, appPort: number): Promise<StartedVariant> {
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

async function startOurs(owner: BenchOwner, dir: string, appPort: number): Promise<StartedVariant> {
  const { frontend, backend, url } = await startPair(owner, dir, appPort);
  await Promise.all([backend.ready(), frontend.ready()]);
  const pids = await Promise.all([backend, frontend].map(async (host) => (await host.status()).envoy.pid as number));
  return { name: 'trysail', url, envoyPids: pids };
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
    await startApplication(owner, dir, appPort);
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
