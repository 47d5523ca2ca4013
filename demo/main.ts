/** `scripts/demo`: brings the mesh up, runs the scenarios, stays up until Ctrl-C, and leaves nothing behind. */
import { join, relative } from 'node:path';
import { errorMessage, TrysailError } from '../src/lib/errors.ts';
import { type FrontDoor, openFrontDoor } from './front-door.ts';
import { createNetwork } from './machines/choose-network.ts';
import type { Network } from './machines/network.ts';
import { createRunFolder, type RunFolder, removeAbandonedRuns, removeRun } from './machines/run-folder.ts';
import { type DemoOptions, readDemoOptions, USAGE } from './options.ts';
import { Report } from './report.ts';
import { SCENARIOS } from './scenarios/scenarios.ts';
import { diagram } from './screen/diagram.ts';
import { Screen } from './screen/screen.ts';
import { bold, green, red } from './screen/style.ts';
import { memoryLine, type Outcome, summaryTable, tryIt } from './summary.ts';
import { ROOT, startWorld, type World } from './world.ts';

const RUNS = join(ROOT, '.tools/demo');

/** Returns the exit code: 0 all checks held, 1 one did not or it could not run, 2 wrong usage, 130 interrupted early. */
async function main(): Promise<number> {
  let options: DemoOptions;
  try {
    options = readDemoOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${errorMessage(error)}\n${USAGE}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const screen = new Screen();
  await removeKilledRuns(screen);
  if (options.clean) return 0;

  const stop = stopSignal();
  const run = await createRunFolder(RUNS);
  screen.text(`everything that it writes is in ${relative(process.cwd(), run.path) || '.'} and goes with it`);
  let network: Network | undefined;
  let door: FrontDoor | undefined;
  try {
    network = await createNetwork(run, options.loopback, screen);
    const world = await startWorld({ network, run, screen, signal: stop.signal });
    screen.title('A running mesh');
    screen.text(diagram(network));
    const ok = await runScenarios(world, options.only);
    if (!options.check) {
      door = await openFrontDoor(world.applications.pageSocket);
      screen.text(`\n${tryIt(world, door.url, run.path)}\n`);
      screen.text(bold('Up until Ctrl-C.'));
      await stop.wanted;
    }
    return ok ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted) return 130;
    screen.text(red(describe(error)));
    return 1;
  } finally {
    await screen.step('everything stopped and removed', () => removeAll(run, network, door));
  }
}

async function runScenarios(world: World, only = ''): Promise<boolean> {
  const { screen } = world;
  const chosen = SCENARIOS.filter(({ name }) => name.includes(only));
  const outcomes: Outcome[] = [];
  for (const [index, scenario] of chosen.entries()) {
    screen.title(`${index + 1} of ${chosen.length}  ${scenario.title}`);
    const report = new Report(screen);
    try {
      await scenario.run(world, report);
    } catch (error) {
      world.signal.throwIfAborted();
      report.check(false, scenario.name, describe(error));
    }
    outcomes.push({ scenario, report });
  }
  const ok = outcomes.every(({ report }) => report.ok);
  const broken = outcomes.filter(({ report }) => !report.ok).length;
  screen.title(ok ? green('Every check held') : red(`${broken} of ${outcomes.length} scenarios failed`));
  screen.text(summaryTable(outcomes));
  screen.text(`\n${await memoryLine(world)}`);
  return ok;
}

/** Ends with SIGINT, SIGTERM, SIGHUP, when nobody reads the output any more, or when scripts/demo was killed. */
function stopSignal(): { readonly signal: AbortSignal; readonly wanted: Promise<void> } {
  const controller = new AbortController();
  const stop = (): void => controller.abort(new TrysailError('DEMO_STOPPED', 'the demo is being stopped'));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  process.stdout.on('error', stop);
  const starter = process.ppid;
  setInterval(() => {
    if (process.ppid !== starter) stop();
  }, 1000).unref();
  const wanted = new Promise<void>((resolve) => {
    controller.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  return { signal: controller.signal, wanted };
}

async function removeKilledRuns(screen: Screen): Promise<void> {
  const removed = await removeAbandonedRuns(RUNS);
  if (removed.length > 0) screen.text(`removed what killed runs had left behind: ${removed.join(', ')}`);
}

async function removeAll(run: RunFolder, network: Network | undefined, door: FrontDoor | undefined): Promise<void> {
  await door?.close();
  // Nothing of it is wanted any more, so nothing is asked to end in order.
  await removeRun(run, 0);
  await network?.remove();
}

function describe(error: unknown): string {
  const remedy = error instanceof TrysailError ? error.remedy : undefined;
  return remedy === undefined ? errorMessage(error) : `${errorMessage(error)}. ${remedy}`;
}

process.exit(await main());
