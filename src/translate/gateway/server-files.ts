/** Which files of this host a server of a Gateway needs. */
import type { ServerTls } from '../../model/gateway.ts';
import type { Host } from '../../model/host.ts';
import { type CertificateFiles, credentialFiles, type RootFiles } from '../tls/certificate-files.ts';

/** The files of this host that a server's TLS needs. */
export interface ServerFiles {
  readonly certificates: readonly CertificateFiles[];
  /** Undefined: clients are not asked for a certificate. */
  readonly roots: RootFiles | undefined;
}

/**
 * Where the certificates of a server that ends TLS itself are. Credentials are folders, as Kubernetes has secrets: roots
 * are those of `caCertCredentialName`, else of the credential itself.
 * @returns undefined where the host has no folder for credentials
 */
export function serverFiles(tls: ServerTls, host: Pick<Host, 'credentialsFolder'>): ServerFiles | undefined {
  const named = tls.credentialNames.map((name) => credentialFiles(host, name));
  const certificates = [
    ...tls.certificates.map((pair) => ({ certificate: pair.serverCertificate, privateKey: pair.privateKey })),
    ...named.flatMap((files) =>
      files === undefined ? [] : [{ certificate: files.certificate, privateKey: files.privateKey }],
    ),
  ];
  if (certificates.length < tls.certificates.length + named.length) return undefined;
  if (tls.mode === 'SIMPLE') return { certificates, roots: undefined };
  if (tls.caCertificates !== undefined)
    return { certificates, roots: { roots: tls.caCertificates, revoked: tls.caCrl } };
  const source = tls.caCertCredentialName === undefined ? named[0] : credentialFiles(host, tls.caCertCredentialName);
  return source === undefined ? undefined : { certificates, roots: { roots: source.roots, revoked: source.revoked } };
}
