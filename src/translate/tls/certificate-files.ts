/** Certificates that are files of this host: where they are, and what Envoy's secrets of them are called. */
import type { Host } from '../../model/host.ts';

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
