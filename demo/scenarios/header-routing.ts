/** A header decides which version a user sees, through two hops that forward it. */
import type { Product } from '../bookshop/page.ts';
import { httpFrom } from '../machines/http.ts';
import { PRODUCTPAGE } from '../topology.ts';
import { productUrl } from '../world.ts';
import { explained } from './explained.ts';
import { everybodyToV3, type Scenario } from './scenario.ts';

export const headerRouting: Scenario = {
  name: 'header routing',
  title: '`end-user: jason` sees reviews v2, with black stars; everybody else v3',
  run: async (world, report) => {
    await everybodyToV3(world);
    const versionsFor = async (user: string | undefined): Promise<readonly string[]> => {
      const headers: Record<string, string> = user === undefined ? {} : { 'end-user': user };
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => httpFrom(world.network, PRODUCTPAGE, productUrl(world.network), { headers })),
      );
      return answers.map((answer) => (JSON.parse(answer) as Product).reviews.version);
    };
    for (const [user, expected] of [
      ['jason', 'v2'],
      ['ada', 'v3'],
      [undefined, 'v3'],
    ] as const) {
      const versions = await versionsFor(user);
      report.check(
        versions.every((version) => version === expected),
        `${user === undefined ? 'without end-user' : `end-user: ${user}`} gives ${expected}`,
        versions.join(' '),
      );
    }
    const question = ['--to', 'http://reviews:9080/', '-H', 'end-user: jason'];
    const words = await explained(world, report, PRODUCTPAGE.name, question);
    report.check(/subset v2/.test(words) && /reviews\.yaml:\d+/.test(words), 'explain says why, by file and line');
    report.highlight('jason: v2');
  },
};
