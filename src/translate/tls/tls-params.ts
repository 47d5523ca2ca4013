/** Versions, cipher suites and curves of TLS: of the mesh, and of everything else where its own rule does not say. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  TlsParameters_TlsProtocol,
  type TlsParametersSchema,
} from '../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import type { ServerTls, TlsVersion } from '../../model/gateway.ts';
import type { TlsChoice } from '../../model/mesh-config.ts';

export type TlsParams = MessageInitShape<typeof TlsParametersSchema>;

/** What a server takes below TLS 1.3 unless it is said otherwise, as in Istio. */
const CIPHERS: readonly string[] = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-GCM-SHA256',
];

const VERSIONS: Readonly<Record<TlsVersion, TlsParameters_TlsProtocol>> = {
  TLS_AUTO: TlsParameters_TlsProtocol.TLS_AUTO,
  TLSV1_0: TlsParameters_TlsProtocol.TLSv1_0,
  TLSV1_1: TlsParameters_TlsProtocol.TLSv1_1,
  TLSV1_2: TlsParameters_TlsProtocol.TLSv1_2,
  TLSV1_3: TlsParameters_TlsProtocol.TLSv1_3,
};

function firstGiven(...lists: readonly (readonly string[] | undefined)[]): string[] {
  return [...(lists.find((list) => list !== undefined && list.length > 0) ?? [])];
}

/** As the mesh configuration says: TLS 1.2 or 1.3 where it does not. A client offers Envoy's suites then. */
export function tlsParams(choice: TlsChoice | undefined, side: 'client' | 'server'): TlsParams {
  return {
    tlsMinimumProtocolVersion: VERSIONS[choice?.minVersion ?? 'TLSV1_2'],
    tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
    cipherSuites: firstGiven(choice?.cipherSuites, side === 'server' ? CIPHERS : []),
    ecdhCurves: [...(choice?.ecdhCurves ?? [])],
  };
}

/** As the server of a Gateway says, and the mesh configuration where it does not; its greatest version holds. */
export function serverTlsParams(
  { minProtocolVersion, maxProtocolVersion, cipherSuites, ecdhCurves }: ServerTls,
  defaults: TlsChoice | undefined,
): TlsParams {
  const max = VERSIONS[maxProtocolVersion === 'TLS_AUTO' ? 'TLSV1_3' : maxProtocolVersion];
  const least = VERSIONS[minProtocolVersion === 'TLS_AUTO' ? (defaults?.minVersion ?? 'TLSV1_2') : minProtocolVersion];
  return {
    tlsMinimumProtocolVersion: least > max ? max : least,
    tlsMaximumProtocolVersion: max,
    cipherSuites: firstGiven(cipherSuites, defaults?.cipherSuites, CIPHERS),
    ecdhCurves: firstGiven(ecdhCurves, defaults?.ecdhCurves),
  };
}
