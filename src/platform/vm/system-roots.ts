/** Where the operating system keeps the certificates of the authorities that it trusts, as one file. */
import { existsSync } from 'node:fs';

const PLACES = [
  // Debian, Ubuntu, Arch, Alpine.
  '/etc/ssl/certs/ca-certificates.crt',
  // Fedora, Red Hat and what comes of them.
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  // SUSE.
  '/var/lib/ca-certificates/ca-bundle.pem',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
] as const;

/** The first that is there, or the one of Debian. */
export function systemRootsFile(exists: (path: string) => boolean = existsSync): string {
  return PLACES.find(exists) ?? PLACES[0];
}
