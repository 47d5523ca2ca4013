/** The mutual TLS of the mesh on both sides: certificates by SDS, peers by SPIFFE id. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import {
  CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType,
  type SubjectAltNameMatcherSchema,
} from '../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import {
  type CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { StringMatcherSchema } from '../../gen/envoy/type/matcher/v3/string_pb.ts';
import type { TlsChoice } from '../../model/mesh-config.ts';
import type { SpiffeId } from '../../model/spiffe-id.ts';
import { ROOT_SECRET, sdsSecret } from '../config-source.ts';
import { pack } from '../messages.ts';
import { sanMatcher } from './san-matcher.ts';
import { type TlsParams, tlsParams } from './tls-params.ts';

type SanMatcher = MessageInitShape<typeof SubjectAltNameMatcherSchema>;

function uriPrefix(value: string): SanMatcher {
  const matcher = create(StringMatcherSchema, { matchPattern: { case: 'prefix', value } });
  return { sanType: SubjectAltNameMatcher_SanType.URI, matcher };
}

function meshTlsContext(
  identity: SpiffeId,
  peers: readonly SanMatcher[],
  alpn: readonly string[],
  params: TlsParams,
): MessageInitShape<typeof CommonTlsContextSchema> {
  return {
    tlsParams: params,
    tlsCertificateSdsSecretConfigs: [sdsSecret(identity)],
    validationContextType: {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: create(CertificateValidationContextSchema, {
          matchTypedSubjectAltNames: [...peers],
        }),
        validationContextSdsSecretConfig: sdsSecret(ROOT_SECRET),
      },
    },
    alpnProtocols: [...alpn],
  };
}

/**
 * The client's side.
 * @param identity whose certificate is shown
 * @param expected names of which one must answer, exactly: SPIFFE ids, or what a rule says instead
 */
export function upstreamTlsSocket(
  identity: SpiffeId,
  expected: readonly string[],
  sni: string,
  alpn: readonly string[],
  choice?: TlsChoice,
): MessageInitShape<typeof TransportSocketSchema> {
  const peers = expected.toSorted().map(sanMatcher);
  return {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: pack(UpstreamTlsContextSchema, {
        commonTlsContext: meshTlsContext(identity, peers, alpn, tlsParams(choice, 'client')),
        sni,
      }),
    },
  };
}

/** A client's side that takes no server: for connections that must not come about. */
export const REFUSED_TLS_SOCKET: MessageInitShape<typeof TransportSocketSchema> = {
  name: 'envoy.transport_sockets.tls',
  configType: {
    case: 'typedConfig',
    value: pack(UpstreamTlsContextSchema, {
      commonTlsContext: {
        validationContextType: {
          case: 'validationContext',
          // No certificate has this digest.
          value: create(CertificateValidationContextSchema, { verifyCertificateHash: ['00'.repeat(32)] }),
        },
      },
    }),
  },
};

/**
 * The server's side: a client certificate of the mesh is required.
 * @param trustDomains whose identities may call
 */
export function downstreamTlsSocket(
  identity: SpiffeId,
  trustDomains: readonly string[],
  alpn: readonly string[],
  choice?: TlsChoice,
): MessageInitShape<typeof TransportSocketSchema> {
  const peers = [...new Set(trustDomains)].map((domain) => uriPrefix(`spiffe://${domain}/`));
  return {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: pack(DownstreamTlsContextSchema, {
        commonTlsContext: meshTlsContext(identity, peers, alpn, tlsParams(choice, 'server')),
        requireClientCertificate: true,
      }),
    },
  };
}
