/** IST0174, IST0101: a DestinationRule or RateLimit is for a host of which nothing is known. */
import { type AnalysisRule, finding } from '../analysis-rule.ts';

const REMEDY =
  'Correct the host; a short name is completed with the namespace of the resource, one with a dot is taken as it is.';

export const unknownRuleHost: AnalysisRule = {
  codes: ['IST0101', 'IST0174'],
  check({ mesh, lookUp }) {
    const aliases = new Set([...mesh.services.values()].flatMap((service) => service.aliases));
    const isMissing = (host: string): boolean =>
      !host.includes('*') && !aliases.has(host) && lookUp(host) === 'missing';
    return [
      ...mesh.destinationRules.flatMap(({ meta, host }) =>
        isMissing(host)
          ? [
              finding(
                'IST0174',
                'warning',
                meta,
                'spec.host',
                `nothing is known of ${host}; the rule has no effect`,
                REMEDY,
              ),
            ]
          : [],
      ),
      ...mesh.rateLimits.flatMap(({ meta, host, server }) => [
        ...(host !== undefined && isMissing(host)
          ? [
              finding(
                'IST0101',
                'warning',
                meta,
                'spec.host',
                `nothing is known of ${host}; nothing is limited`,
                REMEDY,
              ),
            ]
          : []),
        ...(server !== undefined && isMissing(server.host)
          ? [
              finding(
                'IST0101',
                'warning',
                meta,
                'spec.server.host',
                `nothing is known of ${server.host}, which is to count the requests`,
                REMEDY,
              ),
            ]
          : []),
      ]),
    ];
  },
};
