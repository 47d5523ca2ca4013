/** The end of the demo's output: what every scenario came to, and what to try by hand. */
import { join, relative } from 'node:path';
import { residentMb } from './machines/process-table.ts';
import type { Report } from './report.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { bold, cyan, green, red } from './screen/style.ts';
import { table } from './screen/table.ts';
import { PRODUCTPAGE } from './topology.ts';
import { ROOT, type World } from './world.ts';

export interface Outcome {
  readonly scenario: Scenario;
  readonly report: Report;
}

/** One row a scenario: whether its checks held, its load and what was seen. */
export function summaryTable(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ scenario, report }) => [
    report.ok ? green('✓') : red('✗'),
    scenario.name,
    report.load === undefined ? '–' : String(report.load.requests),
    report.load === undefined ? '–' : String(report.load.failures),
    report.load === undefined ? '–' : `${report.load.p50Ms.toFixed(1)} / ${report.load.p99Ms.toFixed(1)}`,
    report.highlights.join(', '),
  ]);
  return table(['', 'scenario', 'requests', 'failed', 'p50 / p99 ms', 'seen'], rows);
}

/** What the programs of the mesh take of memory, resident, smallest to largest. */
export async function memoryLine(world: World): Promise<string> {
  const agents = await Promise.all(world.agents.map((agent) => residentMb(agent.program().pid)));
  const envoys = await Promise.all(
    (await Promise.all(world.agents.map((agent) => agent.envoys()))).flat().map(({ pid }) => residentMb(pid)),
  );
  const range = (values: readonly number[]): string => `${Math.min(...values)} to ${Math.max(...values)} MB`;
  return `Resident memory: Trysail agents ${range(agents)}, Envoys ${range(envoys)}`;
}

/** Commands for somebody who has just watched the demo. */
export function tryIt(world: World, url: string, runPath: string): string {
  const from = process.cwd();
  const short = (path: string): string => {
    const near = relative(from, path);
    return near.startsWith('..') ? path : near.includes('/') ? near : `./${near}`;
  };
  const socket = short(world.agent(PRODUCTPAGE.name).socket);
  const trysail = short(join(ROOT, 'scripts/trysail'));
  const lines: readonly (readonly [what: string, command: string])[] = [
    ['the bookshop in a browser, signed in as jason too', url],
    ['the same as JSON, who served and who called', `curl -s ${url}/api/v1/products/1`],
    ['what one agent says of its host', `${trysail} status --socket ${socket}`],
    [
      'which rule decides a request, without sending it',
      `${trysail} explain --socket ${socket} --to http://reviews:9080/ -H 'end-user: jason'`,
    ],
    ['the configuration that all agents watch: edit it', short(world.files.resourceFolder)],
    ['agent.yaml, logs and sockets of each machine', short(join(runPath, 'machines'))],
    ...(world.network.mode === 'namespaces'
      ? ([['a shell on a machine', world.network.commandOn(PRODUCTPAGE, ['bash']).join(' ')]] as const)
      : []),
  ];
  return [bold('Try it yourself'), ...lines.map(([what, command]) => `${what}\n    ${cyan(command)}`)].join('\n');
}
