/** The host's own key and credential, in the state folder. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { hostSpiffeId } from '../model/spiffe-id.ts';
import type { CertificateFacts } from './certificate.ts';
import { generatePrivateKey, PrivateKey } from './private-key.ts';
import { renewalTimeMs } from './renewal.ts';
import { readSealed, type Sealed, writeSealed, writeState } from './sealed-file.ts';

/** What a host shows to the CA; good for nothing else. */
export type HostCredential = Sealed & {
  readonly facts: CertificateFacts;
  /** Milliseconds since 1970. */
  readonly renewAtMs: number;
};

interface HostCredentialOptions {
  readonly stateDir: string;
  readonly hostName: string;
  readonly trustDomain: string;
  readonly log: Log;
  readonly random: () => number;
}

export class HostCredentialFile {
  readonly #options: HostCredentialOptions;

  constructor(options: HostCredentialOptions) {
    this.#options = options;
  }

  /** Undefined when there is none of this host's name and trust domain, or it cannot be used (which the log says). */
  async load(): Promise<HostCredential | undefined> {
    const { trustDomain, hostName, log, random } = this.#options;
    const stored = await readSealed(this.#path('host.json')).catch((error: unknown) => {
      log.error({ err: errorMessage(error) }, 'the host credential on disk is unusable');
      return undefined;
    });
    if (stored === undefined) return undefined;
    const expected = hostSpiffeId(trustDomain, hostName);
    if (stored.facts.spiffeId !== expected) {
      log.warn({ found: stored.facts.spiffeId, expected }, 'the host credential on disk has another name');
      return undefined;
    }
    return { ...stored, renewAtMs: renewalTimeMs(stored.facts, random, undefined) };
  }

  /** Does not reject: the credential works from memory, and after a restart the host may repeat its join. */
  async save(credential: HostCredential): Promise<void> {
    try {
      await writeSealed(this.#path('host.json'), credential);
    } catch (error) {
      this.#options.log.error({ err: errorMessage(error) }, 'the host credential is not saved');
    }
  }

  /** The host's key, made at the first call and on disk before it is used. Throws STATE_UNWRITABLE. */
  async hostKey(): Promise<PrivateKey> {
    const path = this.#path('host-key.pem');
    try {
      const key = new PrivateKey(await readFile(path, 'utf8'));
      key.publicKeyDer();
      return key;
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') this.#options.log.warn({ path }, 'the host key is unusable and is made anew');
    }
    const key = await generatePrivateKey();
    await writeState(path, key.reveal());
    return key;
  }

  #path(name: string): string {
    return join(this.#options.stateDir, 'identity', name);
  }
}
