/** The TLS that a server of a Gateway ends: its own certificates, and what it asks of clients. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import { CertificateValidationContextSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { DownstreamTlsContextSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { ServerTls } from '../../model/gateway.ts';
import type { TlsChoice } from '../../model/mesh-config.ts';
import { sdsSecret } from '../config-source.ts';
import { pack } from '../messages.ts';
import { sanMatcher } from '../tls/san-matcher.ts';
import { serverTlsParams } from '../tls/tls-params.ts';

type Socket = MessageInitShape<typeof TransportSocketSchema>;

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
  /** What holds where `tls` does not say. */
  readonly defaults: TlsChoice | undefined;
  /** Names of SDS secrets. */
  readonly certificates: readonly string[];
  readonly roots: string | undefined;
  readonly alpn: readonly string[];
}

/** The socket of modes SIMPLE, MUTUAL and OPTIONAL_MUTUAL. */
export function ownTlsSocket({ tls, defaults, certificates, roots, alpn }: OwnTls): Socket {
  return {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: pack(DownstreamTlsContextSchema, {
        commonTlsContext: {
          tlsParams: serverTlsParams(tls, defaults),
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
