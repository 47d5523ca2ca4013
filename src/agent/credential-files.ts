/**
 * The certificates that resources name and that are files of this host, as SDS secrets: read when they are first named
 * and whenever a file changes, so that a renewal needs no restart. What cannot be used leaves what was last good.
 */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode, errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sameBytes } from '../lib/same-bytes.ts';
import { sleep } from '../lib/sleep.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Resource } from '../xds/resource.ts';
import { type CredentialFile, CredentialProblem, credentialOf, filesOf, readCredential } from './credential-read.ts';

/** How often the files are looked at. A stat says enough, also where a folder is swapped by a symbolic link. */
const POLL_MS = 2000;

export interface CredentialFilesOptions {
  /** The folder of credentials, as diagnostics name them. */
  readonly folder: string;
  readonly log: Log;
  /** Gets all secrets, whenever one of them is another. */
  readonly onChange: (secrets: ReadonlyMap<string, Resource>) => void;
  /** Default 2,000. */
  readonly pollMs?: number;
}

interface Known {
  readonly credential: CredentialFile;
  /** State of its files when it was last read. */
  readonly version: string;
  /** Undefined: it could never be used. */
  readonly resource: Resource | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** The version of a file: another for another content, or another file in its place. */
async function versionOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, mode } = await stat(path);
    return `${ino} ${size} ${mtimeMs} ${mode}`;
  } catch (error) {
    return errorCode(error) ?? 'unreadable';
  }
}

function sameSecret(a: Resource | undefined, b: Resource | undefined): boolean {
  return a === undefined || b === undefined ? a === b : sameBytes(a.value, b.value);
}

export class CredentialFiles {
  readonly #options: CredentialFilesOptions;
  #wanted: ReadonlySet<string> = new Set();
  readonly #known = new Map<string, Known>();
  #secrets: ReadonlyMap<string, Resource> = new Map();
  readonly #ended = new AbortController();
  #reading: Promise<void> = Promise.resolve();
  #polling = false;

  constructor(options: CredentialFilesOptions) {
    this.#options = options;
  }

  /** By the name of the secret. */
  get secrets(): ReadonlyMap<string, Resource> {
    return this.#secrets;
  }

  get diagnostics(): readonly Diagnostic[] {
    return [...this.#known.values()].flatMap(({ diagnostics }) => diagnostics);
  }

  /** Follows the files of these secrets from now on, and no others. @param names of SDS secrets */
  follow(names: Iterable<string>): void {
    const wanted = new Set([...names].filter((name) => credentialOf(name) !== undefined));
    if (wanted.size === this.#wanted.size && [...wanted].every((name) => this.#wanted.has(name))) return;
    this.#wanted = wanted;
    this.#read();
    if (this.#polling || wanted.size === 0) return;
    this.#polling = true;
    void this.#poll();
  }

  /** Resolves when what is followed now has been read. */
  async settled(): Promise<void> {
    await this.#reading;
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#reading;
  }

  async #poll(): Promise<void> {
    const { pollMs = POLL_MS } = this.#options;
    while (await sleep(pollMs, this.#ended.signal)) {
      this.#read();
      await this.#reading;
    }
  }

  #read(): void {
    this.#reading = this.#reading
      .then(async () => this.#review())
      .catch((error: unknown) =>
        this.#options.log.error({ error: errorMessage(error) }, 'credentials cannot be looked at'),
      );
  }

  async #review(): Promise<void> {
    const wanted = this.#wanted;
    for (const name of this.#known.keys()) if (!wanted.has(name)) this.#known.delete(name);
    for (const name of wanted) {
      const credential = credentialOf(name);
      if (credential === undefined || this.#ended.signal.aborted) continue;
      const before = this.#known.get(name);
      const version = (await Promise.all(filesOf(credential).map(versionOf))).join('|');
      if (before?.version !== version) this.#known.set(name, await this.#readOne(credential, version, before));
    }
    const next = new Map(
      [...this.#known].flatMap(([name, { resource }]) => (resource === undefined ? [] : [[name, resource]])),
    );
    const same = next.size === this.#secrets.size && [...next].every(([name, one]) => this.#secrets.get(name) === one);
    if (same) return;
    this.#secrets = next;
    this.#options.onChange(next);
  }

  async #readOne(credential: CredentialFile, version: string, before: Known | undefined): Promise<Known> {
    const object = this.#objectOf(credential);
    try {
      const { resource, warnings } = await readCredential(credential, Date.now());
      const kept = sameSecret(before?.resource, resource) ? before?.resource : resource;
      if (before !== undefined && kept !== before.resource) this.#options.log.info({ credential: object }, 'new files');
      const diagnostics = warnings.map((warning) => ({ ...warning, object }));
      return { credential, version, resource: kept, diagnostics };
    } catch (error) {
      if (!(error instanceof CredentialProblem)) throw error;
      const outcome =
        before?.resource === undefined ? 'connections that need it are refused' : 'what was read before stays in force';
      const message = `${error.message}; ${outcome}`;
      const { code, remedy } = error;
      const diagnostic: Diagnostic = { code, severity: 'error', object, message, remedy };
      return { credential, version, resource: before?.resource, diagnostics: [diagnostic] };
    }
  }

  /** `credential www`, or the first of the files. */
  #objectOf(credential: CredentialFile): string {
    const path = credential.kind === 'keyPair' ? credential.certificate : credential.roots;
    const { folder } = this.#options;
    return dirname(dirname(path)) === folder
      ? `credential ${dirname(path).slice(folder.length + 1)}`
      : `certificates ${path}`;
  }
}
