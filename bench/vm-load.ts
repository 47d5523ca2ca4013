// 2,000 requests a second over every way from one host to the application on the other, one way after the other in each
// round: latency, CPU and memory of Envoys and agents. What is compared is compared within a round.
import type { Machine } from '../test/vm/machine.ts';
import type { Report } from './main.ts';
import { median } from './process-usage.ts';
import { MINIMAL_UNIT, NODE, type VmHosts, WAYS, type Way } from './vm-hosts.ts';
import { unitCpuMs, unitMemory } from './vm-usage.ts';

const RATE = 2000;
const CONNECTIONS = 16;
const ROUNDS = 5;
const ROUND_SECONDS = 2;
const WARM_UP_SECONDS = 1;

interface LoadResult {
  readonly requests: number;
  readonly failures: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

interface Sample extends LoadResult {
  /** Of the way's Envoys on both hosts; 0 where there are none. */
  readonly envoyCpuMs: number;
  /** Of the agents on both hosts. */
  readonly agentCpuMs: number;
}

async function load(east: Machine, { name, url, user }: Way, seconds: number): Promise<LoadResult> {
  const line = `runuser -u ${user} -- ${NODE} /bench/load-client.mjs ${url} ${CONNECTIONS} ${seconds} ${RATE}`;
  const result = JSON.parse(await east.run(line)) as LoadResult;
  if (result.failures > 0) throw new Error(`bench: ${name}: ${result.failures} requests failed`);
  return result;
}

async function cpuMsOfBoth({ east, west }: VmHosts, unit: string | undefined): Promise<number> {
  if (unit === undefined) return 0;
  return (await unitCpuMs(east, unit)) + (await unitCpuMs(west, unit));
}

async function measure(hosts: VmHosts, way: Way): Promise<Sample> {
  const [envoyBefore, agentBefore] = [await cpuMsOfBoth(hosts, way.unit), await cpuMsOfBoth(hosts, 'trysail')];
  const result = await load(hosts.east, way, ROUND_SECONDS);
  const envoyCpuMs = (await cpuMsOfBoth(hosts, way.unit)) - envoyBefore;
  return { ...result, envoyCpuMs, agentCpuMs: (await cpuMsOfBoth(hosts, 'trysail')) - agentBefore };
}

/** Runs the rounds and reports `vm.load.*`. @throws Error when a request fails */
export async function measureLoad(hosts: VmHosts, report: Report): Promise<void> {
  const samples = new Map<Way['name'], Sample[]>(WAYS.map(({ name }) => [name, []]));
  for (const way of WAYS) await load(hosts.east, way, WARM_UP_SECONDS);
  for (let round = 0; round < ROUNDS; round += 1)
    for (const way of WAYS) samples.get(way.name)?.push(await measure(hosts, way));

  const of = (name: Way['name'], figure: (sample: Sample) => number): number[] =>
    (samples.get(name) ?? []).map((sample) => figure(sample));
  /** Median of a figure of one way less that of another in the same round, or divided by it. */
  const paired = (
    name: Way['name'],
    other: Way['name'],
    figure: (sample: Sample) => number,
    pair: (a: number, b: number) => number,
  ): number => {
    const others = of(other, figure);
    return median(of(name, figure).map((value, round) => pair(value, others[round] ?? Number.NaN)));
  };
  const less = (a: number, b: number): number => a - b;
  const ratio = (a: number, b: number): number => a / b;
  const cpuUs = ({ envoyCpuMs, requests }: Sample): number => (envoyCpuMs * 1000) / requests;
  for (const { name, unit } of WAYS) {
    report(`vm.load.${name}.requestsPerSecond`, median(of(name, ({ requests, seconds }) => requests / seconds)), '1/s');
    report(`vm.load.${name}.p50Us`, median(of(name, ({ p50Us }) => p50Us)), 'us');
    report(`vm.load.${name}.p99Us`, median(of(name, ({ p99Us }) => p99Us)), 'us');
    if (unit === undefined) continue;
    report(
      `vm.load.${name}.addedP50Us`,
      paired(name, 'direct', ({ p50Us }) => p50Us, less),
      'us',
    );
    report(
      `vm.load.${name}.addedP99Us`,
      paired(name, 'direct', ({ p99Us }) => p99Us, less),
      'us',
    );
    report(`vm.load.${name}.envoyCpuUsPerRequest`, median(of(name, cpuUs)), 'us');
    const percent = median(of(name, ({ envoyCpuMs, seconds }) => envoyCpuMs / (seconds * 10)));
    report(`vm.load.${name}.envoysCpuPercent`, percent, '% of a core, two Envoys');
    if (name !== 'minimal') {
      report(`vm.load.${name}.cpuRatioToMinimal`, paired(name, 'minimal', cpuUs, ratio), 'x');
      report(
        `vm.load.${name}.p50RatioToMinimal`,
        paired(name, 'minimal', ({ p50Us }) => p50Us, ratio),
        'x',
      );
    }
  }
  const agentPercent = WAYS.filter(({ unit }) => unit === 'trysail-envoy').flatMap(({ name }) =>
    of(name, ({ agentCpuMs, seconds }) => agentCpuMs / 2 / (seconds * 10)),
  );
  report('vm.load.agentCpuPercent', median(agentPercent), '% of a core');
  const [agent, envoy] = [await unitMemory(hosts.east, 'trysail'), await unitMemory(hosts.east, 'trysail-envoy')];
  const minimal = await unitMemory(hosts.east, MINIMAL_UNIT);
  report('vm.load.agentRssMb', agent.rssMb['node'] ?? Number.NaN, 'MB');
  report('vm.load.envoyRssMb', envoy.rssMb['envoy'] ?? Number.NaN, 'MB');
  report('vm.load.minimal.envoyRssMb', minimal.rssMb['envoy'] ?? Number.NaN, 'MB');
}
