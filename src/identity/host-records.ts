/** What the CA knows of each host, in `hosts/<name>/`: `record.json`; `revoked.json` and `left.json` once it is so. */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { errorCode, TrysailError } from '../lib/errors.ts';
import { hostSpiffeId } from '../model/spiffe-id.ts';

const Record = z.object({
  host: z.string(),
  /** Patterns `namespace/serviceAccount` of the identities it may ask for. */
  allow: z.array(z.string()),
  /** SHA-256 of its public key's DER, hexadecimal. */
  keySha256: z.string(),
  enrolledAtMs: z.number(),
  /** Id of the token that it joined with. */
  tokenId: z.string(),
  /** Of its latest credential. */
  serial: z.string(),
  notAfterMs: z.number(),
});
const Revocation = z.object({ revokedAtMs: z.number() });
const Leave = z.object({ leftAtMs: z.number() });

type StoredHost = z.output<typeof Record>;

export interface HostRecord extends StoredHost {
  /** Undefined while the host is in good standing. */
  readonly revokedAtMs: number | undefined;
  /** When it gave its credential up; undefined while it has not. */
  readonly leftAtMs: number | undefined;
}

/** Leaves room in a certificate's comment and in a file name. */
export const MAX_HOST_NAME = 100;

/** Whether it can be part of a SPIFFE id, and is at most `MAX_HOST_NAME` characters long. */
export function isHostName(name: string): boolean {
  return name.length <= MAX_HOST_NAME && hostSpiffeId('x', name) !== undefined;
}

async function readJson<S extends z.core.$ZodType>(path: string, schema: S): Promise<z.output<S> | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return z.parse(schema, JSON.parse(text));
  } catch (cause) {
    throw new TrysailError('CA_STATE_CORRUPT', `${path} is not readable as a record`, {
      cause,
      remedy: 'Restore it from the back-up, or remove it and let the host join again.',
    });
  }
}

/** The records below a CA's folder. Read anew at each question, so that a revocation holds at once. */
export class HostRecords {
  readonly #dir: string;

  constructor(caDir: string) {
    this.#dir = join(caDir, 'hosts');
  }

  /** Undefined for a host that never joined. Throws CA_STATE_CORRUPT. */
  async get(host: string): Promise<HostRecord | undefined> {
    if (!isHostName(host)) return undefined;
    const record = await readJson(join(this.#dir, host, 'record.json'), Record);
    if (record === undefined) return undefined;
    const revocation = await readJson(join(this.#dir, host, 'revoked.json'), Revocation);
    // An enrolment later than the revocation stands: only a token made for this host afterwards brings one about.
    const revoked = revocation !== undefined && revocation.revokedAtMs >= record.enrolledAtMs;
    const leave = await readJson(join(this.#dir, host, 'left.json'), Leave);
    const left = leave !== undefined && leave.leftAtMs >= record.enrolledAtMs;
    return {
      ...record,
      revokedAtMs: revoked ? revocation.revokedAtMs : undefined,
      leftAtMs: left ? leave.leftAtMs : undefined,
    };
  }

  async put(record: StoredHost): Promise<void> {
    const dir = join(this.#dir, record.host);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await writeFileAtomic(join(dir, 'record.json'), `${JSON.stringify(z.parse(Record, record), undefined, 2)}\n`);
  }

  /** Throws HOST_UNKNOWN for a host that never joined. */
  async revoke(host: string, nowMs: number): Promise<HostRecord> {
    const record = await this.get(host);
    if (record === undefined) {
      throw new TrysailError('HOST_UNKNOWN', `no host "${host}" has joined`, {
        remedy: 'List the hosts with "trysail ca hosts".',
      });
    }
    await writeFileAtomic(join(this.#dir, host, 'revoked.json'), `${JSON.stringify({ revokedAtMs: nowMs })}\n`);
    return { ...record, revokedAtMs: nowMs };
  }

  /** Writes down that a host with a record gave its credential up. */
  async leave(host: string, nowMs: number): Promise<void> {
    await writeFileAtomic(join(this.#dir, host, 'left.json'), `${JSON.stringify({ leftAtMs: nowMs })}\n`);
  }

  /** All hosts by name. */
  async list(): Promise<readonly HostRecord[]> {
    const names = await readdir(this.#dir).catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    });
    const records = await Promise.all(names.toSorted((a, b) => a.localeCompare(b)).map(async (name) => this.get(name)));
    return records.filter((record) => record !== undefined);
  }
}
