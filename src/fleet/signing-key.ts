/** Keys of publishers and of the configuration root: Ed25519, PEM files, and an id that everybody can compute. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';

export interface SigningKey {
  /** Of its public half: what signed documents name. */
  readonly id: string;
  readonly privateKey: KeyObject;
  /** PEM of the public half. */
  readonly publicPem: string;
}

export interface VerifyingKey {
  readonly id: string;
  readonly publicKey: KeyObject;
}

function spki(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/** The id of a public key: 20 hexadecimal digits of the SHA-256 of its SubjectPublicKeyInfo. */
function keyId(publicKey: KeyObject): string {
  return createHash('sha256').update(spki(publicKey)).digest('hex').slice(0, 20);
}

/** A public key as it stands in documents: its SubjectPublicKeyInfo in base64. */
export function publicKeyText(publicKey: KeyObject): string {
  return spki(publicKey).toString('base64');
}

/** Reads what `publicKeyText` wrote; undefined for anything that is no Ed25519 key. */
export function publicKeyOf(text: string): VerifyingKey | undefined {
  try {
    const publicKey = createPublicKey({ key: Buffer.from(text, 'base64'), type: 'spki', format: 'der' });
    return publicKey.asymmetricKeyType === 'ed25519' ? { id: keyId(publicKey), publicKey } : undefined;
  } catch {
    return undefined;
  }
}

/** The public half of a key that signs. */
export function publicHalf(key: SigningKey): VerifyingKey {
  const publicKey = createPublicKey(key.publicPem);
  return { id: keyId(publicKey), publicKey };
}

/** The public keys of a PEM file: one, or several while the root is being replaced. @throws TrysailError `FLEET_KEY_INVALID` */
export function publicKeysOf(pem: string, file: string): readonly VerifyingKey[] {
  const blocks = pem.match(/-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----/g) ?? [];
  const keys = blocks.map((block) => publicKeyOf(block.replaceAll(/-----[A-Z ]+-----|\s/g, '')));
  const found = keys.filter((key) => key !== undefined);
  if (found.length > 0 && found.length === keys.length) return found;
  throw new TrysailError('FLEET_KEY_INVALID', `${file} holds no Ed25519 public key in PEM.`, {
    remedy: pem.includes('PRIVATE KEY')
      ? 'This is a private key: keep it where changes are published, and give hosts the .pub.pem beside it.'
      : 'Use the .pub.pem file that "trysail fleet init" or "trysail publisher key" wrote.',
  });
}

function signingKey(privateKey: KeyObject): SigningKey {
  const publicKey = createPublicKey(privateKey);
  return {
    id: keyId(publicKey),
    privateKey,
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }),
  };
}

export function createSigningKey(): SigningKey {
  return signingKey(generateKeyPairSync('ed25519').privateKey);
}

/** Where the public half of a private key's file lies: `shop.key` → `shop.pub.pem`. */
export function publicFileOf(file: string): string {
  return `${file.replace(/\.(?:key|pem)$/, '')}.pub.pem`;
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  const handle = await open(file, 'wx', mode);
  try {
    await handle.chmod(mode);
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Makes a key: the private half in `file` (0600), the public one beside it.
 * @throws TrysailError `FLEET_KEY_EXISTS`, `FLEET_KEY_FILE`
 */
export async function writeNewKey(file: string): Promise<SigningKey> {
  const key = createSigningKey();
  try {
    await writeNew(file, key.privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
    await writeNew(publicFileOf(file), key.publicPem, 0o644);
  } catch (error) {
    if (errorCode(error) === 'EEXIST')
      throw new TrysailError('FLEET_KEY_EXISTS', `${file} or ${publicFileOf(file)} is there already.`, {
        remedy: 'Name another file: a key that is written over is lost for ever.',
      });
    throw new TrysailError('FLEET_KEY_FILE', `${file} cannot be written: ${errorMessage(error)}.`, {
      remedy: 'Name a file in a folder that exists and is yours.',
      cause: error,
    });
  }
  return key;
}

const WHERE_KEYS_ARE = {
  '--key': 'Name the private key by --key; "trysail publisher key" makes one.',
  '--root-key': 'Name the root’s private key by --root-key: fleet-root.key, which "trysail fleet init" made.',
  '--public-key': 'Name the public key by --public-key: the .pub.pem file that "trysail publisher key" made.',
  '--root':
    'Name the root’s public key, which "trysail fleet init" made, by --root or TRYSAIL_FLEET_ROOT (on hosts: mesh.fleet.trust).',
} as const;

/**
 * Reads a private key.
 * @param option that names the file, for the remedy
 * @throws TrysailError `FLEET_KEY_FILE`, `FLEET_KEY_OPEN`, `FLEET_KEY_INVALID`
 */
export async function readSigningKey(file: string, option: '--key' | '--root-key' = '--key'): Promise<SigningKey> {
  let pem: string;
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0)
      throw new TrysailError('FLEET_KEY_OPEN', `${file} has mode ${(mode & 0o777).toString(8).padStart(4, '0')}.`, {
        remedy: `Others could sign with it: chmod 0600 ${file}.`,
      });
    pem = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof TrysailError) throw error;
    throw new TrysailError('FLEET_KEY_FILE', `The key ${file} cannot be read: ${errorMessage(error)}.`, {
      remedy: WHERE_KEYS_ARE[option],
      cause: error,
    });
  }
  try {
    const privateKey = createPrivateKey(pem);
    if (privateKey.asymmetricKeyType === 'ed25519') return signingKey(privateKey);
  } catch {
    // Said below.
  }
  throw new TrysailError('FLEET_KEY_INVALID', `${file} holds no Ed25519 private key in PEM.`, {
    remedy: 'Use the .key file that "trysail fleet init" or "trysail publisher key" wrote.',
  });
}

/**
 * Reads a file of public keys.
 * @param option that names the file, for the remedy
 * @throws TrysailError `FLEET_KEY_FILE`, `FLEET_KEY_INVALID`
 */
export async function readPublicKeys(
  file: string,
  option: '--root' | '--public-key' = '--root',
): Promise<readonly VerifyingKey[]> {
  let pem: string;
  try {
    pem = await readFile(file, 'utf8');
  } catch (error) {
    throw new TrysailError('FLEET_KEY_FILE', `The public key ${file} cannot be read: ${errorMessage(error)}.`, {
      remedy: WHERE_KEYS_ARE[option],
      cause: error,
    });
  }
  return publicKeysOf(pem, file);
}
