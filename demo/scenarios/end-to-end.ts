/** Requests through the whole chain; each service says which identity its own proxy verified. */

import type { Product } from '../bookshop/page.ts';
import type { Answerer } from '../bookshop/service.ts';
import { httpFrom } from '../machines/http.ts';
import { waitFor } from '../machines/wait.ts';
import { identityOf, reviewsRouting } from '../mesh/bookshop-resources.ts';
import { table } from '../screen/table.ts';
import { PRODUCTPAGE } from '../topology.ts';
import { productUrl } from '../world.ts';
import type { Scenario } from './scenario.ts';

export const endToEnd: Scenario = {
  name: 'mutual TLS',
  title: 'Requests end to end with mutual TLS: who called, as the called side verified it',
  run: async (world, report) => {
    // v3, so that the request goes all the way to ratings.
    await world.files.write('reviews', reviewsRouting({ v1: 0, v3: 100 }));
    const answer = await waitFor(
      { what: 'a page with reviews v3', timeoutMs: 15_000, signal: world.signal },
      async () => {
        const page = JSON.parse(await httpFrom(world.network, PRODUCTPAGE, productUrl(world.network))) as Product;
        return page.reviews.version === 'v3' ? page : undefined;
      },
    );
    await world.files.write('reviews', reviewsRouting({ v1: 100, v3: 0 }));

    const calls: readonly (readonly [called: Answerer | undefined, by: string])[] = [
      [answer.details, 'productpage'],
      [answer.reviews, 'productpage'],
      [answer.reviews.ratings, 'reviews'],
    ];
    const rows = calls.map(([called, by]) => [
      `${by} → ${called?.service ?? '?'}`,
      called?.instance ?? '',
      called?.caller ?? 'no verified caller',
    ]);
    report.note(table(['call', 'served by', 'caller verified by its proxy'], rows));
    for (const [called, by] of calls)
      report.check(
        called?.caller === identityOf(by),
        `${called?.service ?? 'nobody'} was called by ${by}`,
        called?.caller ?? 'plain text',
      );
    report.highlight(`${calls.length} hops, each with a verified SPIFFE identity`);
  },
};
