// Runs the benchmarks: `npm run bench` all of them, `npm run bench -- xds agent` some, `--json` one line a figure.
// Machines here are noisy: compare figures and ratios of one run with each other, not with another day's.
import { parseArgs } from 'node:util';

/** Reports one figure, such as `xds.delta.n1000.m100.cpuMsPerUpdate`, 8.6, `ms`. */
export type Report = (name: string, value: number, unit: string) => void;

export interface Benchmark {
  readonly what: string;
  run(report: Report): Promise<void>;
}

const benchmarks: Readonly<Record<string, () => Promise<Benchmark>>> = {
  xds: async () => ({
    what: 'the xDS server: one endpoint changes, a hundred subscribers',
    run: (await import('./xds.ts')).run,
  }),
  translation: async () => ({
    what: 'meshes of 1,000 services and 20,000 endpoints read, built, translated for several kinds of hosts; one rule, endpoint, ServiceEntry or record changes',
    run: (await import('./translation.ts')).run,
  }),
  agent: async () => ({
    what: 'a change in Consul until Envoy has it: 100 services, 10,000 endpoints; memory at rest',
    run: (await import('./agent.ts')).run,
  }),
  start: async () => ({
    what: 'exec of the agent until Envoy is ready and a first request has passed',
    run: (await import('./start.ts')).run,
  }),
  dataplane: async () => ({
    what: 'requests through two sidecars against the smallest hand-written Envoy configuration',
    run: (await import('./dataplane.ts')).run,
  }),
  vm: async () => ({
    what: 'the package on machines with systemd: what it costs, what changes of it cost (needs root)',
    run: (await import('./vm.ts')).run,
  }),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !(name in benchmarks));
if (unknown.length > 0) {
  console.error(`bench: no benchmark named ${unknown.join(', ')}; there are ${Object.keys(benchmarks).join(', ')}`);
  process.exit(2);
}
const chosen = positionals.length > 0 ? positionals : Object.keys(benchmarks);
for (const name of chosen) {
  const benchmark = await benchmarks[name]?.();
  if (benchmark === undefined) continue;
  if (!values.json) console.log(`\n${name}: ${benchmark.what}`);
  await benchmark.run((figure, value, unit) => {
    const rounded = Number(value.toPrecision(4));
    if (values.json) console.log(JSON.stringify({ name: figure, value: rounded, unit }));
    else console.log(`  ${figure.padEnd(52)} ${String(rounded).padStart(10)} ${unit}`);
  });
}
