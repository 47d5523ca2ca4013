/** What a scenario is, and what most of them do: something happens while load runs. */
import { sleep } from '../../src/lib/sleep.ts';
import type { Product } from '../bookshop/page.ts';
import type { Figures } from '../load/figures.ts';
import type { Load } from '../load/load.ts';
import type { Sample } from '../load/sample.ts';
import { httpFrom } from '../machines/http.ts';
import { waitFor } from '../machines/wait.ts';
import { reviewsRouting } from '../mesh/bookshop-resources.ts';
import type { Report } from '../report.ts';
import { PRODUCTPAGE } from '../topology.ts';
import { productUrl, type World } from '../world.ts';

export interface Scenario {
  /** Short, for the summary. */
  readonly name: string;
  /** One line that says what will be seen. */
  readonly title: string;
  /** Throws where it cannot go on; what it finds goes into the report. */
  readonly run: (world: World, report: Report) => Promise<void>;
}

const REQUESTS_PER_SECOND = 100;

/** Runs `work` while load runs, begun a moment before it and ended a moment after; the figures go into the report. */
export async function underLoad(
  world: World,
  report: Report,
  work: (load: Load) => Promise<void>,
): Promise<{ readonly samples: readonly Sample[]; readonly figures: Figures }> {
  const load = world.startLoad(REQUESTS_PER_SECOND);
  try {
    await waitFor({ what: 'the load has its first answers', timeoutMs: 120_000, signal: world.signal }, () => {
      return load.samples().length >= REQUESTS_PER_SECOND / 4;
    });
    await work(load);
    await pause(world, 300);
  } catch (error) {
    report.figures(await load.stop());
    throw error;
  }
  const samples = await load.stop();
  return { samples, figures: report.figures(samples) };
}

/** Sends everybody to reviews v3, which calls ratings, and waits until it is so. Returns the first such page. */
export async function everybodyToV3(world: World): Promise<Product> {
  await world.files.write('reviews', reviewsRouting({ v1: 0, v3: 100 }));
  return waitFor({ what: 'reviews v3 serves', timeoutMs: 120_000, signal: world.signal }, async () => {
    const page = JSON.parse(await httpFrom(world.network, PRODUCTPAGE, productUrl(world.network))) as Product;
    return page.reviews.version === 'v3' ? page : undefined;
  });
}

/** Lets time pass; throws when the demo is being stopped. */
export async function pause(world: World, ms: number): Promise<void> {
  await sleep(ms, world.signal);
  world.signal.throwIfAborted();
}

/** Waits until a request sent after `from` was served by that instance. Returns the milliseconds that it took. */
export async function servedAgain(
  world: World,
  load: Load,
  instance: string,
  from: number,
  timeoutMs = 120_000,
): Promise<number> {
  const service = instance.slice(0, instance.indexOf('-'));
  const sample = await waitFor({ what: `${instance} serves again`, timeoutMs, signal: world.signal }, () =>
    load.since(from).find(({ instances }) => instances?.[service] === instance),
  );
  return sample.at - from;
}

/** `3 of 812`, for figures of failures. */
export function failedOf({ failures, requests }: Figures): string {
  return `${failures} of ${requests}`;
}
