/** IST0130, IST0131: routes that a route before them leaves nothing for, and matches that one before them repeats. */
import type { Diagnostic } from '../../model/diagnostic.ts';
import type { HttpMatch, VirtualService } from '../../model/virtual-service.ts';
import { matchesEverything } from '../../translate/http/route-match.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

/** Whether a match takes every request of every caller at every port. */
function isUnconditional(match: HttpMatch | undefined): boolean {
  if (match === undefined) return true;
  const { port, sourceLabels = {}, sourceNamespace, gateways = [] } = match;
  const anySource = Object.keys(sourceLabels).length === 0 && sourceNamespace === undefined && gateways.length === 0;
  return anySource && port === undefined && matchesEverything(match);
}

function conditions(match: HttpMatch): string {
  return JSON.stringify({ ...match, name: undefined, statPrefix: undefined });
}

function check({ meta, http }: VirtualService): readonly Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  const seen = new Map<string, string>();
  let blocker: string | undefined;
  for (const [i, route] of http.entries()) {
    const source = route.source ?? meta.source;
    const path = `spec.http[${i}]`;
    if (blocker !== undefined)
      diagnostics.push(
        finding(
          'IST0130',
          'warning',
          meta,
          path,
          `it is never reached: ${blocker} takes every request`,
          'Put it before that route, or remove it.',
          source,
        ),
      );
    const matches: readonly (HttpMatch | undefined)[] = route.match.length === 0 ? [undefined] : route.match;
    for (const [j, match] of matches.entries()) {
      const place = match === undefined ? path : `${path}.match[${j}]`;
      const key = match === undefined ? '' : conditions(match);
      const first = seen.get(key);
      if (blocker === undefined && match !== undefined && first !== undefined)
        diagnostics.push(
          finding(
            'IST0131',
            'info',
            meta,
            place,
            `${first} has the same conditions and takes these requests`,
            'Remove one of the two.',
            source,
          ),
        );
      if (first === undefined) seen.set(key, place);
      if (isUnconditional(match)) blocker ??= place;
    }
  }
  return diagnostics;
}

export const unreachableRoute: AnalysisRule = {
  codes: ['IST0130', 'IST0131'],
  check: ({ mesh }) => mesh.virtualServices.flatMap(check),
};
