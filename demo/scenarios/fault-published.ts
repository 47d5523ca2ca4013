/** A fault is published for all hosts, signed, and taken back: one step each way, and one user alone notices. */
import type { Product } from '../bookshop/page.ts';
import { httpFrom } from '../machines/http.ts';
import { waitFor } from '../machines/wait.ts';
import { ratingsFault } from '../mesh/bookshop-resources.ts';
import { cyan } from '../screen/style.ts';
import { PRODUCTPAGE } from '../topology.ts';
import { productUrl, type World } from '../world.ts';
import { explained } from './explained.ts';
import { everybodyToV3, type Scenario } from './scenario.ts';

const VICTIM = 'mallory';

export const faultPublished: Scenario = {
  name: 'fault for one user',
  title: `A fault for \`end-user: ${VICTIM}\` is published to the fleet, signed, and taken back`,
  run: async (world, report) => {
    await everybodyToV3(world);
    report.check((await pageFor(world, VICTIM)).ok, `before: ${VICTIM} sees the page`);

    const publishedAt = performance.now();
    report.note(cyan(`trysail apply -f fault.yaml -m 'what if ratings fail?'`));
    const said = await world.fleet.publish(['apply', '-f', '-', '-m', 'what if ratings fail?'], ratingsFault(VICTIM));
    report.note(said.trimEnd());
    const broken = await waitFor(
      { what: 'the fault is in effect', timeoutMs: 120_000, signal: world.signal },
      async () => {
        const page = await pageFor(world, VICTIM);
        return page.ok ? undefined : page;
      },
    );
    const ms = (performance.now() - publishedAt).toFixed(0);
    report.check(
      broken.text.includes('fault filter abort'),
      `${VICTIM}'s page fails, by the Envoy of who calls ratings`,
      `${ms} ms after the command was begun`,
    );
    const other = await pageFor(world, 'ada');
    report.check(other.ok && other.stars, 'ada still sees stars');
    const words = await explained(world, report, 'reviews-v3', [
      '--to',
      'http://ratings:9080/ratings/1',
      '-H',
      `end-user: ${VICTIM}`,
    ]);
    report.check(/ 503\b/.test(words), 'explain names the fault, without a request');

    await world.fleet.publish(['delete', 'virtualservice/ratings', '-m', 'they do not: the page fails']);
    await waitFor({ what: 'the fault is gone', timeoutMs: 120_000, signal: world.signal }, async () => {
      return (await pageFor(world, VICTIM)).ok ? true : undefined;
    });
    report.note((await world.fleet.read(['history'])).trimEnd());
    report.check(true, `taken back: ${VICTIM} sees the page`);
    report.highlight(`in effect after ${ms} ms, one user alone`);
  },
};

interface Seen {
  readonly ok: boolean;
  readonly text: string;
  readonly stars: boolean;
}

async function pageFor(world: World, user: string): Promise<Seen> {
  try {
    const options = { headers: { 'end-user': user } };
    const text = await httpFrom(world.network, PRODUCTPAGE, productUrl(world.network), options);
    return { ok: true, text, stars: (JSON.parse(text) as Product).reviews.ratings !== undefined };
  } catch (error) {
    return { ok: false, text: String(error), stars: false };
  }
}
