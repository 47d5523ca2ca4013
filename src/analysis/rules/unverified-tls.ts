/** IST0128, IST0129: TLS to a service whose certificate nobody verifies, by a rule or for one of its ports. */
import type { ClientTls } from '../../model/destination-rule.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

function isUnverified(tls: ClientTls | undefined): boolean {
  return tls !== undefined && (tls.mode === 'SIMPLE' || tls.mode === 'MUTUAL') && tls.insecureSkipVerify;
}

const MESSAGE = 'the certificate of the server is not verified: anybody on the way can answer for it';
const REMEDY = 'Remove insecureSkipVerify: the roots of the system count without caCertificates.';

export const unverifiedTls: AnalysisRule = {
  codes: ['IST0128', 'IST0129'],
  check({ mesh }) {
    return mesh.destinationRules.flatMap(({ meta, trafficPolicy, subsets }) =>
      [
        { policy: trafficPolicy, path: 'spec.trafficPolicy' },
        ...subsets.map((subset, i) => ({ policy: subset.trafficPolicy, path: `spec.subsets[${i}].trafficPolicy` })),
      ].flatMap(({ policy, path }) => [
        ...(isUnverified(policy?.tls) ? [finding('IST0128', 'warning', meta, `${path}.tls`, MESSAGE, REMEDY)] : []),
        ...(policy?.portLevelSettings ?? []).flatMap(({ tls }, i) =>
          isUnverified(tls)
            ? [finding('IST0129', 'warning', meta, `${path}.portLevelSettings[${i}].tls`, MESSAGE, REMEDY)]
            : [],
        ),
      ]),
    );
  },
};
