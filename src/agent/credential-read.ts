/**
 * Certificates that are files of this host, read and checked before Envoy gets them: a half-written or wrong file must
 * not take a working certificate away.
 */
import { X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { splitPem } from '../identity/certificate.ts';
import { PrivateKey } from '../identity/private-key.ts';
import { errorCode } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { rootFilesSecret } from '../translate/tls/file-secrets.ts';
import { certificateSecret, validationSecret } from '../translate/tls/secrets.ts';
import type { Resource } from '../xds/resource.ts';

/** A certificate with its key is a few kilobytes; bundles of roots are at most a few hundred. */
const MAX_BYTES = 1_048_576;
const BUNDLE_BYTES = 65_536;
const DAY_MS = 86_400_000;
/** From when on its end is told, unless it lives so short that this is no news. */
const SOON_MS = 7 * DAY_MS;
const SOON_SHARE = 0.2;
const OTHERS_READ = 0o004;
const CRL = /-----BEGIN X509 CRL-----[A-Za-z0-9+/=\s]+-----END X509 CRL-----/g;

/** Files that a secret of translation names. */
export type CredentialFile =
  | { readonly kind: 'keyPair'; readonly name: string; readonly certificate: string; readonly key: string }
  | { readonly kind: 'roots'; readonly name: string; readonly roots: string; readonly revoked: string | undefined };

/** The files of an SDS secret's name, as `certificate-files.ts` of translation makes it; undefined: it is another's. */
export function credentialOf(name: string): CredentialFile | undefined {
  const pair = /^file-cert:(\/.*?)~(\/.*)$/.exec(name);
  if (pair !== null) return { kind: 'keyPair', name, certificate: pair[1] ?? '', key: pair[2] ?? '' };
  const roots = /^file-root:(\/.*?)(?:~(\/.*))?$/.exec(name);
  return roots === null ? undefined : { kind: 'roots', name, roots: roots[1] ?? '', revoked: roots[2] };
}

/** Where else a file of a credential may be: by the names that Istio takes in a secret of Kubernetes. */
function places(path: string): readonly string[] {
  const folder = dirname(path);
  switch (basename(path)) {
    case 'tls.crt':
      return [path, join(folder, 'cert')];
    case 'tls.key':
      return [path, join(folder, 'key')];
    case 'ca.crt':
      return [path, join(folder, 'cacert'), join(`${folder}-cacert`, 'ca.crt'), join(`${folder}-cacert`, 'cacert')];
    default:
      return [path];
  }
}

/** Every file that it may be made of, so that a change of any of them can be seen. */
export function filesOf(credential: CredentialFile): readonly string[] {
  if (credential.kind === 'keyPair') return [...places(credential.certificate), ...places(credential.key)];
  const roots = places(credential.roots);
  return [...roots, ...(credential.revoked === undefined ? roots.map(listBeside) : [credential.revoked])];
}

/** The list of revoked certificates that belongs to roots of a credential. */
function listBeside(roots: string): string {
  return join(dirname(roots), 'ca.crl');
}

/** What keeps a credential from being used, or will. */
export class CredentialProblem extends Error {
  readonly code: 'IST0101' | 'IST0161';
  readonly remedy: string;

  constructor(code: 'IST0101' | 'IST0161', message: string, remedy: string) {
    super(message);
    this.code = code;
    this.remedy = remedy;
  }
}

interface FoundFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/**
 * A path may be anything that a resource names: a pipe would hold its reader for ever, and a device has no end.
 * @throws the error of the system, CredentialProblem
 */
async function readBounded(path: string): Promise<Omit<FoundFile, 'path'>> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const status = await file.stat();
    if (!status.isFile())
      throw new CredentialProblem(
        'IST0161',
        `${path} is no regular file`,
        'Put a PEM file there, or correct the path.',
      );
    if (status.size > MAX_BYTES)
      throw new CredentialProblem('IST0161', `${path} has ${status.size} bytes`, `Keep it below ${MAX_BYTES}.`);
    const buffer = Buffer.alloc(status.size);
    const { bytesRead } = await file.read(buffer, 0, status.size, 0);
    return { text: buffer.toString('utf8', 0, bytesRead), mode: status.mode };
  } finally {
    await file.close();
  }
}

async function readFirst(paths: readonly string[]): Promise<FoundFile | undefined> {
  for (const path of paths) {
    try {
      return { path, ...(await readBounded(path)) };
    } catch (error) {
      if (error instanceof CredentialProblem) throw error;
      const code = errorCode(error) ?? 'unknown error';
      if (code === 'ENOENT' || code === 'ENOTDIR') continue;
      throw new CredentialProblem(
        'IST0161',
        `${path} cannot be read (${code})`,
        'Let the user of the agent read it, such as by its group and mode 0640.',
      );
    }
  }
  return undefined;
}

async function needed(path: string): Promise<FoundFile> {
  const found = await readFirst(places(path));
  if (found !== undefined) return found;
  throw new CredentialProblem('IST0101', `${path} does not exist`, 'Put the certificate there, or correct its name.');
}

function parsed(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new CredentialProblem('IST0161', `${path} holds no valid certificate`, 'Put a PEM certificate there.');
  }
}

function belongs(certificate: X509Certificate, key: PrivateKey): boolean {
  try {
    return certificate.checkPrivateKey(key.keyObject());
  } catch {
    return false;
  }
}

/** A credential that can be used. */
export interface ReadCredential {
  readonly resource: Resource;
  /** What should be looked after; it is used all the same. */
  readonly warnings: readonly Pick<Diagnostic, 'code' | 'severity' | 'message' | 'remedy'>[];
}

function endWarning(certificate: X509Certificate, path: string, nowMs: number): ReadCredential['warnings'] {
  const end = Date.parse(certificate.validTo);
  const lifeMs = end - Date.parse(certificate.validFrom);
  if (end > nowMs + Math.min(SOON_MS, SOON_SHARE * lifeMs)) return [];
  const day = new Date(end).toISOString();
  const remedy = 'Replace it; new files are taken within seconds.';
  return end > nowMs
    ? [{ code: 'IST0161', severity: 'warning', message: `the certificate in ${path} ends at ${day}`, remedy }]
    : [{ code: 'IST0161', severity: 'error', message: `the certificate in ${path} has ended at ${day}`, remedy }];
}

async function readKeyPair(
  { name, certificate, key }: Extract<CredentialFile, { kind: 'keyPair' }>,
  nowMs: number,
): Promise<ReadCredential> {
  const [chainFile, keyFile] = [await needed(certificate), await needed(key)];
  const chain = splitPem(chainFile.text);
  const leaf = parsed(chain[0] ?? '', chainFile.path);
  const privateKey = new PrivateKey(keyFile.text);
  if (!belongs(leaf, privateKey))
    throw new CredentialProblem(
      'IST0161',
      `${keyFile.path} is not the unencrypted private key of ${chainFile.path}`,
      'Replace both together.',
    );
  const open = (keyFile.mode & OTHERS_READ) !== 0;
  return {
    resource: certificateSecret({ name, certificateChainPem: chain.join(''), privateKeyPem: privateKey.reveal() }),
    warnings: [
      ...endWarning(leaf, chainFile.path, nowMs),
      ...(open
        ? [
            {
              code: 'IST0161',
              severity: 'warning' as const,
              message: `every user of this host can read the private key ${keyFile.path}`,
              remedy: 'Give it mode 0640 and the group of the agent.',
            },
          ]
        : []),
    ],
  };
}

async function readRoots(
  { name, roots, revoked }: Extract<CredentialFile, { kind: 'roots' }>,
  nowMs: number,
): Promise<ReadCredential> {
  const found = await needed(roots);
  const certificates = splitPem(found.text);
  if (certificates.length === 0)
    throw new CredentialProblem('IST0161', `${found.path} holds no certificate`, 'Put the PEM of the root there.');
  const all = certificates.map((pem) => parsed(pem, found.path));
  const beside = basename(roots) === 'ca.crt' ? await readFirst([listBeside(found.path)]) : undefined;
  const list = revoked === undefined ? beside : await needed(revoked);
  const lists = list?.text.match(CRL) ?? [];
  if (list !== undefined && lists.length === 0)
    throw new CredentialProblem(
      'IST0161',
      `${list.path} holds no list of revoked certificates`,
      'Put the PEM of the list there, or remove the file.',
    );
  const warnings = all.length === 1 ? all.flatMap((root) => endWarning(root, found.path, nowMs)) : [];
  // The bundle of an operating system: not worth sending, and Envoy can read it.
  if (found.text.length > BUNDLE_BYTES && found.path === roots)
    return { resource: rootFilesSecret({ roots, revoked }), warnings };
  const revokedPem = lists.map((pem) => `${pem}\n`).join('');
  return {
    resource: validationSecret({
      name,
      rootsPem: certificates.join(''),
      ...(revokedPem === '' ? {} : { revokedPem }),
    }),
    warnings,
  };
}

/**
 * Reads and checks it.
 * @throws CredentialProblem when it cannot be used
 */
export async function readCredential(credential: CredentialFile, nowMs: number): Promise<ReadCredential> {
  return credential.kind === 'keyPair' ? readKeyPair(credential, nowMs) : readRoots(credential, nowMs);
}
