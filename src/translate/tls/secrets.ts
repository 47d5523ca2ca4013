/** Certificates as SDS secrets, under the names by which clusters and listeners ask for them. */
import { create } from '@bufbuild/protobuf';
import { CertificateValidationContextSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { SecretSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import type { Resource } from '../../xds/resource.ts';
import { resource } from '../messages.ts';

export { ROOT_SECRET } from '../config-source.ts';

/**
 * The key pair of one identity.
 * @param secret.name the SPIFFE id
 * @param secret.certificateChainPem leaf first
 */
export function certificateSecret(secret: {
  readonly name: string;
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
}): Resource {
  return resource(secret.name, SecretSchema, {
    name: secret.name,
    type: {
      case: 'tlsCertificate',
      value: {
        certificateChain: { specifier: { case: 'inlineString', value: secret.certificateChainPem } },
        privateKey: { specifier: { case: 'inlineString', value: secret.privateKeyPem } },
      },
    },
  });
}

/**
 * The roots that all peers are verified by.
 * @param secret.name `ROOTCA`
 * @param secret.rootsPem one or several certificates
 * @param secret.revokedPem lists of revoked certificates; absent: nobody's
 */
export function validationSecret(secret: {
  readonly name: string;
  readonly rootsPem: string;
  readonly revokedPem?: string;
}): Resource {
  return resource(secret.name, SecretSchema, {
    name: secret.name,
    type: {
      case: 'validationContext',
      value: create(CertificateValidationContextSchema, {
        trustedCa: { specifier: { case: 'inlineString', value: secret.rootsPem } },
        ...(secret.revokedPem !== undefined && {
          crl: { specifier: { case: 'inlineString', value: secret.revokedPem } },
        }),
      }),
    },
  });
}
