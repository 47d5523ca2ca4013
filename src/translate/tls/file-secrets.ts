/**
 * Certificates that are files of this host, as SDS secrets that name the files: Envoy reads them itself, and again when a
 * new file is moved over an old one. Only paths pass the agent.
 */
import { create } from '@bufbuild/protobuf';
import { CertificateValidationContextSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { SecretSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import type { Host } from '../../model/host.ts';
import type { Resource } from '../../xds/resource.ts';
import { resource } from '../messages.ts';
import type { ResourceUnits } from '../resource-units.ts';

/** A certificate with its chain, and its private key. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly privateKey: string;
}

/** The roots that a peer is verified by, and a list of revoked certificates. */
export interface RootFiles {
  readonly roots: string;
  readonly revoked: string | undefined;
}

const DEBIAN_ROOTS = '/etc/ssl/certs/ca-certificates.crt';

/** Where the operating system has its roots. */
export function systemRoots({ systemRootsFile = DEBIAN_ROOTS }: Pick<Host, 'systemRootsFile'>): string {
  return systemRootsFile;
}

/** The files of a credential: `tls.crt`, `tls.key` and `ca.crt` of its folder, as of a secret of Kubernetes. */
export function credentialFiles(
  { credentialsFolder }: Pick<Host, 'credentialsFolder'>,
  name: string,
): (CertificateFiles & RootFiles) | undefined {
  if (credentialsFolder === undefined) return undefined;
  const folder = `${credentialsFolder}/${name}`;
  return {
    certificate: `${folder}/tls.crt`,
    privateKey: `${folder}/tls.key`,
    roots: `${folder}/ca.crt`,
    // Envoy takes no roots at all where a list of revoked certificates is named and does not exist.
    revoked: undefined,
  };
}

/** Istio's name of such a secret. */
export function certificateFilesName({ certificate, privateKey }: CertificateFiles): string {
  return `file-cert:${certificate}~${privateKey}`;
}

/** Istio's name of such a secret; a list of revoked certificates follows the roots. */
export function rootFilesName({ roots, revoked }: RootFiles): string {
  return `file-root:${roots}${revoked === undefined ? '' : `~${revoked}`}`;
}

function file(filename: string): { readonly specifier: { readonly case: 'filename'; readonly value: string } } {
  return { specifier: { case: 'filename', value: filename } };
}

/** https://www.envoyproxy.io/docs/envoy/latest/configuration/security/secret */
export function certificateFilesSecret(files: CertificateFiles): Resource {
  const name = certificateFilesName(files);
  return resource(name, SecretSchema, {
    name,
    type: {
      case: 'tlsCertificate',
      value: { certificateChain: file(files.certificate), privateKey: file(files.privateKey) },
    },
  });
}

export function rootFilesSecret(files: RootFiles): Resource {
  const name = rootFilesName(files);
  return resource(name, SecretSchema, {
    name,
    type: {
      case: 'validationContext',
      value: create(CertificateValidationContextSchema, {
        trustedCa: file(files.roots),
        ...(files.revoked !== undefined && { crl: file(files.revoked) }),
      }),
    },
  });
}

/** Has Envoy read a key pair; returns the name to refer to it by. */
export function useCertificateFiles(units: ResourceUnits, files: CertificateFiles): string {
  const name = certificateFilesName(files);
  units.make('secrets', name, [], () => certificateFilesSecret(files));
  return name;
}

/** Has Envoy read roots; returns the name to refer to them by. */
export function useRootFiles(units: ResourceUnits, files: RootFiles): string {
  const name = rootFilesName(files);
  units.make('secrets', name, [], () => rootFilesSecret(files));
  return name;
}
