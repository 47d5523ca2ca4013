/** Requests through the whole chain; each service says which identity its own proxy verified. */
import { formatDiagnostic } from '../../src/model/diagnostic.ts';
import type { Answerer } from '../bookshop/service.ts';
import { identityOf } from '../mesh/bookshop-resources.ts';
import { table } from '../screen/table.ts';
import { everybodyToV3, type Scenario } from './scenario.ts';

export const endToEnd: Scenario = {
  name: 'mutual TLS',
  title: 'Requests end to end with mutual TLS: who called, as the called side verified it',
  run: async (world, report) => {
    const complaints = (await Promise.all(world.agents.map((agent) => agent.status()))).flatMap(
      ({ host, diagnostics }) => diagnostics.map((diagnostic) => `${host.name}: ${formatDiagnostic(diagnostic)}`),
    );
    report.check(complaints.length === 0, 'no agent complains of its configuration', complaints.slice(0, 3).join('; '));
    const answer = await everybodyToV3(world);
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
