/** The TLS that a server of a Gateway ends: its own certificates, and what it asks of clients. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import {
  CertificateValidationContextSchema,
  TlsParameters_TlsProtocol,
} from '../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { DownstreamTlsContextSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { ServerTls, TlsVersion } from '../../model/gateway.ts';
import { sdsSecret } from '../config-source.ts';
import { pack } from '../messages.ts';
import { sanMatcher } from '../tls/san-matcher.ts';
import { CIPHERS } from '../tls/tls-context.ts';

type Socket = MessageInitShape<typeof TransportSocketSchema>;

const VERSIONS: Readonly<Record<TlsVersion, TlsParameters_TlsProtocol>> = {
  TLS_AUTO: TlsParameters_TlsProtocol.TLS_AUTO,
  TLSV1_0: TlsParameters_TlsProtocol.TLSv1_0,
  TLSV1_1: TlsParameters_TlsProtocol.TLSv1_1,
  TLSV1_2: TlsParameters_TlsProtocol.TLSv1_2,
  TLSV1_3: TlsParameters_TlsProtocol.TLSv1_3,
};

/** What is asked of a client's certificate, beside who has signed it. */
function expectations(tls: ServerTls): MessageInitShape<typeof CertificateValidationContextSchema> {
  return create(CertificateValidationContextSchema, {
    matchTypedSubjectAltNames: tls.subjectAltNames.map(sanMatcher),
    verifyCertificateSpki: [...tls.verifyCertificateSpki],
    verifyCertificateHash: [...tls.verifyCertificateHash],
  });
}

/** A server that ends TLS with certificates of its own. */
export interface OwnTls {
  readonly tls: ServerTls;
  /** Names of SDS secrets. */
  readonly certificates: readonly string[];
  readonly roots: string | undefined;
  readonly alpn: readonly string[];
}

/** The socket of modes SIMPLE, MUTUAL and OPTIONAL_MUTUAL. */
export function ownTlsSocket({ tls, certificates, roots, alpn }: OwnTls): Socket {
  const { minProtocolVersion: min, maxProtocolVersion: max, cipherSuites, ecdhCurves } = tls;
  return {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: pack(DownstreamTlsContextSchema, {
        commonTlsContext: {
          tlsParams: {
            tlsMinimumProtocolVersion: VERSIONS[min === 'TLS_AUTO' ? 'TLSV1_2' : min],
            tlsMaximumProtocolVersion: VERSIONS[max === 'TLS_AUTO' ? 'TLSV1_3' : max],
            cipherSuites: cipherSuites.length === 0 ? [...CIPHERS] : [...cipherSuites],
            ecdhCurves: [...ecdhCurves],
          },
          tlsCertificateSdsSecretConfigs: certificates.map(sdsSecret),
          ...(roots !== undefined && {
            validationContextType: {
              case: 'combinedValidationContext',
              value: {
                defaultValidationContext: expectations(tls),
                validationContextSdsSecretConfig: sdsSecret(roots),
              },
            } as const,
          }),
          alpnProtocols: [...alpn],
        },
        requireClientCertificate: tls.mode === 'MUTUAL',
      }),
    },
  };
}
