/** IST0128, IST0129: TLS to a service whose certificate nobody verifies, by a rule or for one of its ports. */
import type { ClientTls } from '../../model/destination-rule.ts';
import type { Mesh } from '../../model/mesh.ts';
import { verification } from '../../translate/tls/client-tls.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

/** By the rule, or because the mesh verifies nobody where a rule does not say by what. */
function isUnverified(tls: ClientTls | undefined, host: string, { services, config }: Mesh): boolean {
  if (tls?.mode !== 'SIMPLE' && tls?.mode !== 'MUTUAL') return false;
  return verification(tls, services.get(host) ?? { host }, config) === 'none';
}

const MESSAGE = 'the certificate of the server is not verified: anybody on the way can answer for it';
const REMEDY = 'Remove insecureSkipVerify: the roots of the system count without caCertificates.';
const MESH_REMEDY = 'Write caCertificates or subjectAltNames, or remove verifyCertificateAtClient of the mesh.';

function remedyOf(tls: ClientTls | undefined): string {
  return tls?.insecureSkipVerify === true ? REMEDY : MESH_REMEDY;
}

export const unverifiedTls: AnalysisRule = {
  codes: ['IST0128', 'IST0129'],
  check({ mesh }) {
    return mesh.destinationRules.flatMap(({ meta, host, trafficPolicy, subsets }) =>
      [
        { policy: trafficPolicy, path: 'spec.trafficPolicy' },
        ...subsets.map((subset, i) => ({ policy: subset.trafficPolicy, path: `spec.subsets[${i}].trafficPolicy` })),
      ].flatMap(({ policy, path }) => [
        ...(isUnverified(policy?.tls, host, mesh)
          ? [finding('IST0128', 'warning', meta, `${path}.tls`, MESSAGE, remedyOf(policy?.tls))]
          : []),
        ...(policy?.portLevelSettings ?? []).flatMap(({ tls }, i) =>
          isUnverified(tls, host, mesh)
            ? [finding('IST0129', 'warning', meta, `${path}.portLevelSettings[${i}].tls`, MESSAGE, remedyOf(tls))]
            : [],
        ),
      ]),
    );
  },
};
