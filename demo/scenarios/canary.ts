/** Reviews moves from v1 to v3 by weight while load runs; the measured shares are held against chance. */
import { binomialBounds, countBy } from '../load/figures.ts';
import type { Load } from '../load/load.ts';
import type { Sample } from '../load/sample.ts';
import { waitFor } from '../machines/wait.ts';
import { reviewsRouting } from '../mesh/bookshop-resources.ts';
import type { Report } from '../report.ts';
import { pad } from '../screen/style.ts';
import { bar } from '../screen/table.ts';
import type { World } from '../world.ts';
import { failedOf, pause, type Scenario, underLoad } from './scenario.ts';

const PHASE_MS = 4000;

interface Phase {
  readonly v1: number;
  readonly v3: number;
  /** Whether the samples since the change show that it has taken effect. */
  readonly tookEffect: (samples: readonly Sample[]) => boolean;
}

const lastAre = (version: string, samples: readonly Sample[]): boolean =>
  samples.length >= 30 && samples.slice(-30).every((sample) => sample.reviews === version);

/** The first v3 answer ends the first phase. At 10 % of v3, thirty answers of one version in a row are no chance. */
const PHASES: readonly Phase[] = [
  { v1: 100, v3: 0, tookEffect: (samples) => lastAre('v1', samples) },
  { v1: 90, v3: 10, tookEffect: (samples) => samples.some((sample) => sample.reviews === 'v3') },
  { v1: 0, v3: 100, tookEffect: (samples) => lastAre('v3', samples) },
];

export const canary: Scenario = {
  name: 'canary by weight',
  title: 'A canary of reviews, v1 → v3, while load runs',
  run: async (world, report) => {
    const { figures } = await underLoad(world, report, async (load) => {
      for (const phase of PHASES) await runPhase(world, report, load, phase);
    });
    report.check(figures.failures === 0, 'no request failed', failedOf(figures));
  },
};

async function runPhase(world: World, report: Report, load: Load, phase: Phase): Promise<void> {
  const changedAt = Date.now();
  await world.files.write('reviews', reviewsRouting(phase));
  const what = `weights ${phase.v1}/${phase.v3} take effect`;
  await waitFor({ what, timeoutMs: 120_000, everyMs: 10, signal: world.signal }, () =>
    phase.tookEffect(load.since(changedAt)),
  );
  const from = Date.now();
  await pause(world, PHASE_MS);
  const samples = load.since(from).filter((sample) => sample.reviews !== undefined);

  const n = samples.length;
  const v3 = new Map(countBy(samples, (sample) => sample.reviews)).get('v3') ?? 0;
  const share = n === 0 ? 0 : v3 / n;
  const { low, high } = binomialBounds(n, phase.v3 / 100);
  report.note(
    `v1 ${pad(String(phase.v1), 3, 'left')} / v3 ${pad(String(phase.v3), 3, 'left')}   v3 ${bar(share)} ${(share * 100).toFixed(1)} %`,
  );
  report.check(
    n > 0 && v3 >= low && v3 <= high,
    `v3 serves ${phase.v3} %`,
    `${v3} of ${n}, chance allows ${low} to ${high}; in effect ${from - changedAt} ms after the file was written`,
  );
  report.highlight(`${phase.v1}/${phase.v3}: ${(share * 100).toFixed(1)} %`);
}
