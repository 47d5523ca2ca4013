/**
 * The folder of a CA, with the file names of Istio's `cacerts`, so that an operator can plug in an intermediate of a PKI
 * of his own: https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/
 */
import type { X509Certificate } from 'node:crypto';
import { access, chmod, mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { errorCode, TrysailError } from '../lib/errors.ts';
import { hostSpiffeId } from '../model/spiffe-id.ts';
import { certificateFacts, parseCertificate, splitPem } from './certificate.ts';
import { generatePrivateKey, PrivateKey } from './private-key.ts';

export const CA_FILES = {
  root: 'root-cert.pem',
  certificate: 'ca-cert.pem',
  key: 'ca-key.pem',
  chain: 'cert-chain.pem',
  settings: 'ca.json',
} as const;

const Settings = z.object({ trustDomain: z.string() });

/** What a CA's folder holds, checked. */
export interface CaMaterial {
  readonly trustDomain: string;
  /** The signing certificate, PEM. */
  readonly certificatePem: string;
  readonly privateKey: PrivateKey;
  /** From the signing certificate up to, and without, the root; empty when the root itself signs. */
  readonly intermediatesPem: readonly string[];
  /** All trusted roots; the first is the one that the signing certificate leads to. */
  readonly rootsPem: readonly string[];
  /** SHA-256 of that first root, hexadecimal: what join tokens carry. */
  readonly rootFingerprint: string;
  readonly notAfterMs: number;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * Makes a CA: an ECDSA P-256 root of ten years that signs by itself, in a folder of mode 0700.
 * Throws CA_EXISTS rather than overwrite any of its files, TRUST_DOMAIN_INVALID, or the system's error.
 */
export async function initCa(dir: string, trustDomain: string): Promise<CaMaterial> {
  if (hostSpiffeId(trustDomain, 'x') === undefined) {
    throw new TrysailError('TRUST_DOMAIN_INVALID', `"${trustDomain}" is not a SPIFFE trust domain`, {
      remedy: 'Use lower-case letters, digits, dots, hyphens and underscores, such as "prod.example.com".',
    });
  }
  for (const name of Object.values(CA_FILES)) {
    if (await exists(join(dir, name))) {
      throw new TrysailError('CA_EXISTS', `${join(dir, name)} exists: a CA's files are never overwritten`, {
        remedy: 'Choose another folder, or move the old CA away; hosts that trust it would have to join again.',
      });
    }
  }
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  const { selfSignedRoot } = await import('./certificate-authority.ts');
  const key = await generatePrivateKey();
  const rootPem = await selfSignedRoot(key, trustDomain);
  // The key last: a folder without it is not a CA, and says so.
  await writeFileAtomic(join(dir, CA_FILES.settings), `${JSON.stringify({ trustDomain }, undefined, 2)}\n`, 0o644);
  await writeFileAtomic(join(dir, CA_FILES.root), rootPem, 0o644);
  await writeFileAtomic(join(dir, CA_FILES.certificate), rootPem, 0o644);
  await writeFileAtomic(join(dir, CA_FILES.chain), rootPem, 0o644);
  await writeFileAtomic(join(dir, CA_FILES.key), key.reveal(), 0o600);
  return loadCa(dir);
}

async function readCaFile(dir: string, name: string): Promise<string> {
  const path = join(dir, name);
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TrysailError('CA_FILE_UNREADABLE', `cannot read ${path} (${errorCode(cause) ?? 'unknown error'})`, {
      cause,
      remedy:
        errorCode(cause) === 'ENOENT'
          ? `Make a CA with "trysail ca init --dir ${dir} --trust-domain DOMAIN", or restore the folder from its back-up.`
          : 'Run this as the user who owns the folder.',
    });
  }
}

function certificatesOf(text: string, path: string): readonly X509Certificate[] {
  return splitPem(text).map((pem) => parseCertificate(pem, path));
}

function broken(message: string, remedy: string): TrysailError {
  return new TrysailError('CA_INCONSISTENT', message, { remedy });
}

/** The path from the signing certificate to a root: `[signing, …, root]`. Throws CA_INCONSISTENT when there is none. */
function pathToRoot(
  signing: X509Certificate,
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): readonly X509Certificate[] {
  const path = [signing];
  for (let last = signing; path.length <= 8; path.push(last)) {
    const current = last;
    if (roots.some((root) => root.raw.equals(current.raw))) return path;
    const issues = (issuer: X509Certificate): boolean =>
      !issuer.raw.equals(current.raw) && current.checkIssued(issuer) && current.verify(issuer.publicKey);
    const next = roots.find(issues) ?? chain.find(issues);
    if (next === undefined) break;
    last = next;
  }
  throw broken(
    `${CA_FILES.certificate} does not lead to ${CA_FILES.root} through ${CA_FILES.chain}`,
    `Put every intermediate into ${CA_FILES.chain}, the signing certificate first.`,
  );
}

/**
 * Reads and checks a CA's folder. Throws CA_FILE_UNREADABLE, CA_KEY_EXPOSED when others may read the key,
 * CERTIFICATE_MALFORMED, or CA_INCONSISTENT when key, certificate, chain and root do not belong together or have expired.
 */
export async function loadCa(dir: string, nowMs: number = Date.now()): Promise<CaMaterial> {
  const text = async (name: string): Promise<string> => readCaFile(dir, name);
  const settings = z.safeParse(Settings, parseJson(await text(CA_FILES.settings)));
  if (!settings.success || hostSpiffeId(settings.data.trustDomain, 'x') === undefined) {
    throw broken(`${join(dir, CA_FILES.settings)} names no valid trust domain`, 'Write {"trustDomain": "…"} into it.');
  }
  const keyPath = join(dir, CA_FILES.key);
  const privateKey = new PrivateKey(await text(CA_FILES.key));
  if (((await stat(keyPath)).mode & 0o077) !== 0) {
    throw new TrysailError('CA_KEY_EXPOSED', `others may read ${keyPath}`, { remedy: `Run: chmod 600 ${keyPath}` });
  }
  const roots = certificatesOf(await text(CA_FILES.root), CA_FILES.root);
  const [signing] = certificatesOf(await text(CA_FILES.certificate), CA_FILES.certificate);
  if (signing === undefined || roots.length === 0) {
    throw broken(`${CA_FILES.certificate} or ${CA_FILES.root} in ${dir} holds no certificate`, 'Restore the file.');
  }
  if (!signing.ca)
    throw broken(`${CA_FILES.certificate} is not a CA certificate`, 'Give one with basicConstraints CA.');
  try {
    if (!signing.checkPrivateKey(privateKey.keyObject())) throw new Error('another key');
  } catch {
    throw broken(
      `${CA_FILES.key} is not the unencrypted private key of ${CA_FILES.certificate}`,
      'Put the pair that belongs together into the folder.',
    );
  }
  const path = pathToRoot(signing, certificatesOf(await text(CA_FILES.chain), CA_FILES.chain), roots);
  for (const certificate of path) {
    if (Date.parse(certificate.validTo) <= nowMs) {
      throw broken(
        `the CA certificate "${certificate.subject.replaceAll('\n', ', ')}" expired at ${certificate.validTo}`,
        'Plug in a current one; see "Changing the root" in docs/identity.md.',
      );
    }
  }
  const root = path.at(-1) ?? signing;
  const others = roots.filter((other) => !other.raw.equals(root.raw));
  return {
    trustDomain: settings.data.trustDomain,
    certificatePem: signing.toString(),
    privateKey,
    intermediatesPem: path.slice(0, -1).map(String),
    rootsPem: [root, ...others].map(String),
    rootFingerprint: certificateFacts(root).fingerprint,
    notAfterMs: Math.min(...path.map((certificate) => Date.parse(certificate.validTo))),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
