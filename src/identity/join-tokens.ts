/**
 * The tokens that a CA has given out. `tokens/<id>/token.json` never changes; each use is a file of its own that only
 * one process can create, so that a token is never used once too often, whoever asks at the same time.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { errorCode, TrysailError } from '../lib/errors.ts';
import { sha256Hex } from './certificate.ts';
import { isEntitlementPattern } from './entitlement.ts';
import { isHostName } from './host-records.ts';

const Stored = z.object({
  id: z.string(),
  /** The secret has 256 random bits: a plain hash cannot be searched. */
  secretSha256: z.string(),
  allow: z.array(z.string()),
  /** Only this host may join with it. */
  host: z.optional(z.string()),
  /** How many hosts may join with it. */
  uses: z.number(),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
});
const Use = z.object({ host: z.string(), keySha256: z.string(), atMs: z.number() });

type StoredToken = z.output<typeof Stored>;
export type TokenUse = z.output<typeof Use>;

/** A token as an operator sees it: no secret, nor its hash. */
export interface TokenInfo extends Omit<StoredToken, 'secretSha256'> {
  /** How many of its uses are taken. */
  readonly used: number;
  readonly state: 'valid' | 'used' | 'expired' | 'revoked';
}

export interface NewToken {
  readonly allow: readonly string[];
  readonly host?: string | undefined;
  readonly uses: number;
  readonly ttlMs: number;
}

/** Why a token does not admit; the service turns it into a refusal. */
export type TokenProblem = 'unknown' | 'revoked' | 'expired' | 'used' | 'other-host';

const MAX_USES = 100_000;
const MAX_TTL_MS = 365 * 86_400_000;
const ID = /^[0-9a-z]{4,40}$/;

function invalid(message: string, remedy: string): TrysailError {
  return new TrysailError('TOKEN_OPTIONS_INVALID', message, { remedy });
}

function check({ allow, host, uses, ttlMs }: NewToken): void {
  const wrong = allow.find((pattern) => !isEntitlementPattern(pattern));
  if (wrong !== undefined || allow.length === 0) {
    throw invalid(
      wrong === undefined ? 'the token would allow no identity' : `"${wrong}" is not namespace/serviceAccount`,
      'Give --allow with a pattern such as default/reviews or payments/*.',
    );
  }
  if (host !== undefined && !isHostName(host)) {
    throw invalid(`"${host}" is not a host name`, 'Use up to 100 letters, digits, dots, hyphens and underscores.');
  }
  if (!Number.isInteger(uses) || uses < 1 || uses > MAX_USES) {
    throw invalid(`${uses} is not a number of uses`, `Give a whole number from 1 to ${MAX_USES}.`);
  }
  if (!(ttlMs >= 1000 && ttlMs <= MAX_TTL_MS)) throw invalid('the time to live is out of range', 'Give 1s to 8760h.');
}

/** The token store below a CA's folder. */
export class JoinTokens {
  readonly #dir: string;
  readonly #now: () => number;

  constructor(caDir: string, now: () => number = () => Date.now()) {
    this.#dir = join(caDir, 'tokens');
    this.#now = now;
  }

  /** Makes a token. The secret exists only in the answer. Throws TOKEN_OPTIONS_INVALID. */
  async create(options: NewToken): Promise<{ readonly id: string; readonly secret: string; readonly info: TokenInfo }> {
    check(options);
    const id = randomBytes(6).toString('hex');
    const secret = randomBytes(32).toString('base64url');
    const createdAtMs = this.#now();
    const stored: StoredToken = {
      id,
      secretSha256: sha256Hex(secret),
      allow: [...options.allow],
      ...(options.host === undefined ? {} : { host: options.host }),
      uses: options.uses,
      createdAtMs,
      expiresAtMs: createdAtMs + options.ttlMs,
    };
    await mkdir(join(this.#dir, id), { recursive: true, mode: 0o700 });
    await writeFileAtomic(join(this.#dir, id, 'token.json'), `${JSON.stringify(stored, undefined, 2)}\n`);
    return { id, secret, info: await this.#info(stored) };
  }

  /** Newest first, with the hosts that joined by them. */
  async list(): Promise<readonly (TokenInfo & { readonly usedBy: readonly TokenUse[] })[]> {
    const tokens = await Promise.all((await this.#names(this.#dir)).map(async (id) => this.#read(id)));
    const known = tokens.filter((token) => token !== undefined).toSorted((a, b) => b.createdAtMs - a.createdAtMs);
    return Promise.all(
      known.map(async (token) => {
        const [info, usedBy] = await Promise.all([this.#info(token), this.#uses(token.id)]);
        return Object.assign(info, { usedBy });
      }),
    );
  }

  /** Holds at once, for every process that uses the folder. Throws TOKEN_UNKNOWN. */
  async revoke(id: string): Promise<void> {
    if ((await this.#read(id)) === undefined) {
      throw new TrysailError('TOKEN_UNKNOWN', `there is no token "${id}"`, {
        remedy: 'List the tokens with "trysail token list".',
      });
    }
    await writeFileAtomic(join(this.#dir, id, 'revoked'), '');
  }

  /** The token that a secret belongs to, if it may be used by this host at all; uses are counted by `claim`. */
  async verify(
    id: string,
    secret: string,
    host: string | undefined,
  ): Promise<{ readonly token: TokenInfo } | { readonly problem: TokenProblem }> {
    const stored = await this.#read(id);
    const offered = Buffer.from(sha256Hex(secret), 'hex');
    if (stored === undefined || !timingSafeEqual(offered, Buffer.from(stored.secretSha256, 'hex'))) {
      return { problem: 'unknown' };
    }
    const token = await this.#info(stored);
    if (token.state === 'revoked' || token.state === 'expired') return { problem: token.state };
    if (stored.host !== undefined && host !== undefined && stored.host !== host) return { problem: 'other-host' };
    return { token };
  }

  /**
   * Takes one of a token's uses. The same host with the same key finds its earlier use again, so that an answer lost on
   * the way does not cost the token.
   * @returns how to give the use back, or undefined when all are taken
   */
  async claim(token: TokenInfo, use: Omit<TokenUse, 'atMs'>): Promise<(() => Promise<void>) | undefined> {
    const dir = join(this.#dir, token.id);
    const keyFile = join(dir, `key-${use.keySha256}.json`);
    if (await this.#isRepeat(keyFile, use.host)) return async () => undefined;
    const taken = new Set(await this.#names(dir));
    const free = Array.from({ length: token.uses }, (_, i) => `use-${i + 1}`).filter((name) => !taken.has(name));
    // From anywhere: two hundred at once would otherwise all try the first, then all the second, and so on.
    const from = Math.floor(Math.random() * free.length);
    for (const name of [...free.slice(from), ...free.slice(0, from)]) {
      const slot = join(dir, name);
      if (!(await createExclusively(slot))) continue;
      // After the slot, never before: what this file admits has been counted.
      await writeFileAtomic(keyFile, JSON.stringify({ ...use, atMs: this.#now() }));
      return async () => {
        await rm(keyFile, { force: true });
        await rm(slot, { force: true });
      };
    }
    return (await this.#isRepeat(keyFile, use.host)) ? async () => undefined : undefined;
  }

  /** Whether this host, with this key, has taken one of the token's uses. */
  async wasUsedBy(id: string, use: Omit<TokenUse, 'atMs'>): Promise<boolean> {
    return this.#isRepeat(join(this.#dir, id, `key-${use.keySha256}.json`), use.host);
  }

  async #isRepeat(keyFile: string, host: string): Promise<boolean> {
    return (await readUse(keyFile))?.host === host;
  }

  async #read(id: string): Promise<StoredToken | undefined> {
    if (!ID.test(id)) return undefined;
    try {
      return z.parse(Stored, JSON.parse(await readFile(join(this.#dir, id, 'token.json'), 'utf8')));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw new TrysailError('CA_STATE_CORRUPT', `the token "${id}" is not readable`, {
        cause: error,
        remedy: `Remove ${join(this.#dir, id)} and make a new token.`,
      });
    }
  }

  async #names(dir: string): Promise<readonly string[]> {
    return readdir(dir).catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    });
  }

  async #uses(id: string): Promise<readonly TokenUse[]> {
    const dir = join(this.#dir, id);
    const files = (await this.#names(dir)).filter((name) => name.startsWith('key-') && name.endsWith('.json'));
    const uses = await Promise.all(files.map(async (name) => readUse(join(dir, name))));
    return uses.filter((use) => use !== undefined).toSorted((a, b) => a.atMs - b.atMs);
  }

  async #info({ secretSha256: _hash, ...token }: StoredToken): Promise<TokenInfo> {
    const names = await this.#names(join(this.#dir, token.id));
    const used = names.filter((name) => name.startsWith('use-')).length;
    const state = names.includes('revoked')
      ? 'revoked'
      : token.expiresAtMs <= this.#now()
        ? 'expired'
        : used >= token.uses
          ? 'used'
          : 'valid';
    return { ...token, used, state };
  }
}

/** False if the file exists already, whoever made it. */
async function createExclusively(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    await file.sync();
    await file.close();
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function readUse(path: string): Promise<TokenUse | undefined> {
  try {
    return z.parse(Use, JSON.parse(await readFile(path, 'utf8')));
  } catch {
    // Not there, or cut off by a crash of the disk: not a repeat then.
    return undefined;
  }
}
