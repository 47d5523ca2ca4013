/** Certificate, key and roots in one file of mode 0600, so that they always belong together. */
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { errorCode, TrysailError } from '../lib/errors.ts';
import { type CertificateFacts, certificateFacts, parseCertificate, splitPem } from './certificate.ts';
import { PrivateKey } from './private-key.ts';

const Stored = z.object({
  certificateChain: z.string(),
  privateKey: z.string(),
  roots: z.array(z.string()),
  /** Of the CA, for a host credential. */
  addresses: z.optional(z.array(z.string())),
  tokenId: z.optional(z.string()),
});

export interface Sealed {
  readonly certificateChainPem: string;
  readonly privateKey: PrivateKey;
  readonly rootsPem: readonly string[];
  readonly addresses?: readonly string[] | undefined;
  readonly tokenId?: string | undefined;
}

/** Writes the file and its folder. Throws STATE_UNWRITABLE with the system's reason. */
export async function writeSealed(path: string, sealed: Sealed): Promise<void> {
  const { certificateChainPem, privateKey, rootsPem, addresses, tokenId } = sealed;
  const content = {
    certificateChain: certificateChainPem,
    privateKey: privateKey.reveal(),
    roots: rootsPem,
    addresses,
    tokenId,
  };
  await writeState(path, `${JSON.stringify(content, undefined, 2)}\n`);
}

/** Writes a secret file below the state folder. Throws STATE_UNWRITABLE with the system's reason. */
export async function writeState(path: string, content: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFileAtomic(path, content, 0o600);
  } catch (cause) {
    throw new TrysailError('STATE_UNWRITABLE', `cannot write ${path} (${errorCode(cause) ?? String(cause)})`, {
      cause,
      remedy: 'Free space on the disk, or let the user of the agent write to the folder paths.state.',
    });
  }
}

/** Undefined when there is no file. Throws STATE_UNREADABLE when it is not one of ours, or its key is another's. */
export async function readSealed(path: string): Promise<(Sealed & { readonly facts: CertificateFacts }) | undefined> {
  try {
    const stored = z.parse(Stored, JSON.parse(await readFile(path, 'utf8')));
    const [leaf = ''] = splitPem(stored.certificateChain);
    const certificate = parseCertificate(leaf, path);
    const privateKey = new PrivateKey(stored.privateKey);
    if (!certificate.checkPrivateKey(privateKey.keyObject())) throw new Error("the key is not the certificate's");
    return {
      certificateChainPem: stored.certificateChain,
      privateKey,
      rootsPem: stored.roots.flatMap(splitPem),
      addresses: stored.addresses,
      tokenId: stored.tokenId,
      facts: certificateFacts(certificate),
    };
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return undefined;
    // The cause may quote the file: its message stays out of ours.
    throw new TrysailError('STATE_UNREADABLE', `${path} cannot be used (${errorCode(cause) ?? 'damaged'})`, {
      remedy: 'Remove the file; what it held is fetched anew.',
    });
  }
}
