/**
 * TLS to servers that are not the mesh's: with the certificates and names that a DestinationRule says, modes SIMPLE and
 * MUTUAL.
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import { CertificateValidationContextSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { UpstreamTlsContextSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { ClientTls } from '../../model/destination-rule.ts';
import type { Host } from '../../model/host.ts';
import type { MeshConfig, TlsChoice } from '../../model/mesh-config.ts';
import type { Service } from '../../model/service.ts';
import { sdsSecret } from '../config-source.ts';
import { isIpAddress } from '../ip-address.ts';
import { pack } from '../messages.ts';
import {
  type CertificateFiles,
  certificateFilesName,
  credentialFiles,
  type RootFiles,
  rootFilesName,
  systemRoots,
} from './certificate-files.ts';
import { sanMatcher } from './san-matcher.ts';
import { tlsParams } from './tls-params.ts';

/** The files of this host that the TLS of a rule needs. */
export interface ClientFiles {
  /** Undefined: no certificate is shown. */
  readonly certificate: CertificateFiles | undefined;
  /** Undefined: the server is not verified. */
  readonly roots: RootFiles | undefined;
}

/**
 * How far a server is verified: by who has signed its certificate and the names in that (`all`), by the first alone
 * (`signature`), or not at all.
 */
export type Verification = 'all' | 'signature' | 'none';

type Named = Pick<Service, 'host' | 'subjectAltNames'>;

/**
 * As the rule says, and the mesh configuration where it does not. Names that somebody has written are verified in any
 * case, and with them who has signed them: without, they prove nothing.
 */
export function verification(
  { insecureSkipVerify, subjectAltNames, caCertificates, credentialName }: ClientTls,
  service: Named,
  { verifyCertificateAtClient = true }: Pick<MeshConfig, 'verifyCertificateAtClient'>,
): Verification {
  if (insecureSkipVerify) return 'none';
  const named = subjectAltNames.length > 0 || (service.subjectAltNames ?? []).length > 0;
  if (verifyCertificateAtClient || named) return 'all';
  return caCertificates === undefined && credentialName === undefined ? 'none' : 'signature';
}

function verificationOfRule({ insecureSkipVerify }: ClientTls): Verification {
  return insecureSkipVerify ? 'none' : 'all';
}

/**
 * Undefined where the rule names a credential and the host has no folder for them. Of a credential SIMPLE and MUTUAL take
 * the roots; without any, those of the operating system are meant.
 */
export function clientFiles(
  tls: ClientTls,
  host: Pick<Host, 'credentialsFolder' | 'systemRootsFile'>,
  verifies = verificationOfRule(tls),
): ClientFiles | undefined {
  const named = tls.credentialName === undefined ? undefined : credentialFiles(host, tls.credentialName);
  if (tls.credentialName !== undefined && named === undefined) return undefined;
  const { clientCertificate, privateKey } = tls;
  const written =
    clientCertificate === undefined || privateKey === undefined
      ? undefined
      : { certificate: clientCertificate, privateKey };
  const certificate = tls.mode === 'MUTUAL' ? (named ?? written) : undefined;
  const roots = named?.roots ?? tls.caCertificates ?? systemRoots(host);
  return {
    certificate: certificate && { certificate: certificate.certificate, privateKey: certificate.privateKey },
    roots: verifies === 'none' ? undefined : { roots, revoked: tls.caCrl },
  };
}

/** What a server is asked for and has to prove. */
export interface ServerNames {
  /** Undefined: the host that each request names, or none. */
  readonly sni: string | undefined;
  /** Empty: the host that each request names, or any. */
  readonly names: readonly string[];
}

/**
 * By the rule, else by the service. A service with a name of its own is expected by that name, whatever host its callers
 * write: they may call it at a loopback address. Only behind a wildcard is it the host that is asked for.
 */
export function serverNames(
  tls: ClientTls,
  { host, subjectAltNames = [] }: Named,
  verifies = verificationOfRule(tls),
): ServerNames {
  const own = host.startsWith('*') ? undefined : host;
  const sni = tls.sni ?? (own === undefined || isIpAddress(own) ? undefined : own);
  const implied = tls.sni ?? own;
  const names = [tls.subjectAltNames, subjectAltNames, implied === undefined ? [] : [implied]];
  return { sni, names: verifies === 'all' ? (names.find(({ length }) => length > 0) ?? []) : [] };
}

/** Which of the names come from each request: only HTTP has any. */
export function namesByRequest(
  tls: ClientTls,
  service: Named,
  verifies = verificationOfRule(tls),
): { readonly autoSni: boolean; readonly autoSanValidation: boolean } {
  const { sni, names } = serverNames(tls, service, verifies);
  const autoSni = sni === undefined && service.host.startsWith('*');
  return { autoSni, autoSanValidation: autoSni && names.length === 0 && verifies === 'all' };
}

/** @param alpn empty: nothing is offered */
export function clientTlsSocket(
  { certificate, roots }: ClientFiles,
  { sni, names }: ServerNames,
  alpn: readonly string[],
  choice?: TlsChoice,
): MessageInitShape<typeof TransportSocketSchema> {
  return {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: pack(UpstreamTlsContextSchema, {
        commonTlsContext: {
          tlsParams: tlsParams(choice, 'client'),
          tlsCertificateSdsSecretConfigs:
            certificate === undefined ? [] : [sdsSecret(certificateFilesName(certificate))],
          ...(roots !== undefined && {
            validationContextType: {
              case: 'combinedValidationContext',
              value: {
                defaultValidationContext: create(CertificateValidationContextSchema, {
                  matchTypedSubjectAltNames: names.map(sanMatcher),
                }),
                validationContextSdsSecretConfig: sdsSecret(rootFilesName(roots)),
              },
            } as const,
          }),
          alpnProtocols: [...alpn],
        },
        ...(sni !== undefined && { sni }),
      }),
    },
  };
}
