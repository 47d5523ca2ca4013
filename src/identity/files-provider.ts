/** Certificates that something else puts into files: cert-manager, Vault agent, an operator's own tooling. */
import { readFile, stat } from 'node:fs/promises';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
import type { SpiffeId } from '../model/spiffe-id.ts';
import { certificateFacts, parseCertificate, splitPem } from './certificate.ts';
import type { CertificateProvider, IssuedCertificate, ProviderStatus } from './certificate-provider.ts';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import { PrivateKey } from './private-key.ts';

export interface FilesProviderOptions {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly rootFile: string;
  readonly clock?: Clock;
}

/** How often the files are looked at. A stat says enough, also where a folder is swapped by a symbolic link. */
const POLL_MS = 5000;

export class FilesProvider implements CertificateProvider {
  readonly issues = true;
  readonly persistable = false;
  readonly #options: FilesProviderOptions;
  readonly #clock: Clock;
  readonly #seen = new Map<string, string>();
  #lastReadAtMs: number | undefined;
  #lastError: string | undefined;

  constructor(options: FilesProviderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
  }

  /** Throws IDENTITY_FILE_UNREADABLE, CERTIFICATE_MALFORMED or IDENTITY_FILE_WRONG. */
  async issue(identity: SpiffeId): Promise<IssuedCertificate> {
    try {
      const issued = await this.#read(identity);
      this.#lastReadAtMs = this.#clock.now();
      this.#lastError = undefined;
      return issued;
    } catch (error) {
      this.#lastError = errorMessage(error);
      throw error;
    }
  }

  async maintain(): Promise<void> {
    // Whoever writes the files renews them.
  }

  watch(changed: () => void, signal: AbortSignal): void {
    const poll = async (): Promise<void> => {
      while (await this.#clock.sleep(POLL_MS, signal)) {
        let differs = false;
        for (const [path, before] of this.#seen) {
          const now = await version(path);
          if (now !== before) {
            this.#seen.set(path, now);
            differs = true;
          }
        }
        if (differs) changed();
      }
    };
    void poll();
  }

  status(): ProviderStatus {
    return {
      provider: 'files',
      addresses: [],
      reachable: this.#lastReadAtMs === undefined ? undefined : this.#lastError === undefined,
      lastContactAtMs: this.#lastReadAtMs,
      lastError: this.#lastError,
      hostCredential: undefined,
    };
  }

  close(): void {
    this.#seen.clear();
  }

  async #read(identity: SpiffeId): Promise<IssuedCertificate> {
    const { certificateFile, keyFile, rootFile } = this.#options;
    const certificateText = await this.#text(certificateFile);
    const keyText = await this.#text(keyFile);
    const rootText = await this.#text(rootFile);
    const chain = splitPem(certificateText);
    const rootsPem = splitPem(rootText);
    const certificate = parseCertificate(chain[0] ?? '', certificateFile);
    for (const root of rootsPem) parseCertificate(root, rootFile);
    if (rootsPem.length === 0) throw wrong(`${rootFile} holds no certificate`, 'Put the PEM of the root into it.');
    const found = certificateFacts(certificate).spiffeId;
    if (found !== identity) {
      throw wrong(
        `${certificateFile} is for ${found ?? 'no SPIFFE id'}, not for ${identity}`,
        'One certificate file serves one identity: give the one of this workload.',
      );
    }
    const privateKey = new PrivateKey(keyText);
    let belongs = false;
    try {
      belongs = certificate.checkPrivateKey(privateKey.keyObject());
    } catch {
      belongs = false;
    }
    if (!belongs) {
      throw wrong(`${keyFile} is not the unencrypted private key of ${certificateFile}`, 'Replace both together.');
    }
    return { certificateChainPem: chain.join(''), privateKey, rootsPem };
  }

  async #text(path: string): Promise<string> {
    this.#seen.set(path, await version(path));
    try {
      return await readFile(path, 'utf8');
    } catch (cause) {
      throw new TrysailError(
        'IDENTITY_FILE_UNREADABLE',
        `cannot read ${path} (${errorCode(cause) ?? 'unknown error'})`,
        {
          cause,
          remedy: 'Check identity.files in agent.yaml, and that the user of the agent may read the file.',
        },
      );
    }
  }
}

function wrong(message: string, remedy: string): TrysailError {
  return new TrysailError('IDENTITY_FILE_WRONG', message, { remedy });
}

async function version(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    return errorCode(error) ?? 'unreadable';
  }
}
