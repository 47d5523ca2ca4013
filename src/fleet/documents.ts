/** The documents of the fleet's configuration: their schemas, how they are written, and how untrusted ones are read. */
import * as z from 'zod/mini';
import { FLEET_LIMITS } from './layout.ts';
import type { Refused } from './signed-document.ts';

/** What signatures are bound to. */
export const TYPES = {
  mesh: 'trysail.dev/fleet-mesh/v1',
  head: 'trysail.dev/fleet-head/v1',
  change: 'trysail.dev/fleet-change/v1',
  freeze: 'trysail.dev/fleet-freeze/v1',
} as const;

const hash = z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/));
const keyId = z.string().check(z.regex(/^[0-9a-f]{20}$/));
const signature = z.string().check(z.regex(/^[A-Za-z0-9_-]{86}$/));
const revision = z.int().check(z.gte(1));
const timeMs = z.int().check(z.gte(0));
const namespace = z.string().check(z.regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/));
const kind = z.string().check(z.regex(/^[A-Z][A-Za-z0-9]{0,62}$/));
const name = z.string().check(z.regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/));
const pattern = z.string().check(z.regex(/^(?:\*|[a-z0-9][-a-z0-9]{0,62}\*?)$/));
const MAX_LINE = 500;
/** Who and why, on a terminal: one line. */
const line = z.string().check(z.maxLength(MAX_LINE), z.regex(/^[^\p{Cc}\p{Cf}]*$/u));

/** A text as documents hold it: on one line, and not longer than they allow. Undefined stays undefined. */
export function oneLine(text: string | undefined): string | undefined {
  const line = text?.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').trim();
  return line === undefined || line.length <= MAX_LINE ? line : `${line.slice(0, MAX_LINE - 1)}…`;
}

const publisher = z.strictObject({
  name: z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/)),
  /** SubjectPublicKeyInfo, base64. */
  publicKey: z.string().check(z.maxLength(128)),
  /** `shop`, `team-*` or `*`. */
  namespaces: z.array(pattern).check(z.maxLength(64)),
  /** Kinds of resources, or `*`. */
  kinds: z.array(z.union([z.literal('*'), kind])).check(z.maxLength(64)),
  /** Whether it may freeze all changes. */
  mayFreeze: z.boolean(),
  /** Revoked: nothing new is taken of it. What it had published by then stands, as far as these heads hold it. */
  revokedAtMs: z.optional(timeMs),
});

const mesh = z.strictObject({
  version: z.literal(1),
  /** Names this fleet in all that is signed, so that nothing can be carried over from another. */
  fleet: z.string().check(z.regex(/^[0-9a-f]{32}$/)),
  revision,
  previous: z.nullable(hash),
  atMs: timeMs,
  publishers: z.array(publisher).check(z.maxLength(FLEET_LIMITS.publishers)),
  /** By namespace, a head that hosts go on from and never before. Set when a publisher is revoked. */
  floors: z.record(namespace, z.strictObject({ revision, hash })),
  /** Whether resource files on hosts count beside the fleet's configuration. */
  localResources: z.enum(['allow', 'deny']),
});

/**
 * One resource as somebody published it: kind, name, hash of the body (null: deleted), the revision in which that was,
 * the revision and the time in which the resource was created, the publisher's key and its signature. An array, for
 * thousands of them stand in an index.
 */
const change = z.tuple([kind, name, z.nullable(hash), revision, revision, timeMs, keyId, signature]);

/** Which hosts take a revision that goes out in steps. All others hold `base`. */
const stage = z.strictObject({
  /** Of the whole roll-out: the same in each of its revisions. */
  id: z.string().check(z.maxLength(64)),
  /** As the publisher wrote them: `1`, `5%`, `all`. */
  steps: z
    .array(z.string().check(z.regex(/^(?:[1-9]\d{0,6}|\d{1,2}(?:\.\d+)?%|all)$/)))
    .check(z.minLength(1), z.maxLength(16)),
  /** Which of them this is, from 1. */
  step: z.int().check(z.gte(1), z.lte(16)),
  /** Hosts whose place (`stage.ts`) is not above it take the revision. */
  upTo: z.string().check(z.regex(/^[0-9a-f]{16}$/)),
  /** What was in force before; null: nothing. */
  base: z.nullable(z.strictObject({ revision, hash })),
  /** Over how many milliseconds hosts spread their acknowledgements. */
  spreadMs: z.int().check(z.gte(0), z.lte(60_000)),
});

const head = z.strictObject({
  version: z.literal(1),
  fleet: z.string().check(z.maxLength(64)),
  namespace,
  revision,
  /** Hash of the payload of the head before; null for the first. */
  previous: z.nullable(hash),
  /** What became current in the same step: the revision of each namespace. */
  transaction: z.strictObject({
    id: z.string().check(z.maxLength(64)),
    revisions: z.record(namespace, revision),
  }),
  atMs: timeMs,
  action: z.enum(['apply', 'delete', 'rollback', 'stage']),
  message: z.optional(line),
  /** How many resources it made, changed and deleted. */
  counts: z.strictObject({ created: z.int(), changed: z.int(), deleted: z.int() }),
  /** Hashes of the parts of the index. */
  index: z.array(hash).check(z.maxLength(FLEET_LIMITS.indexParts)),
  /** The latest changes, oldest first: with them a host at revision `changesSince` or later needs no index. */
  changes: z.array(change).check(z.maxLength(FLEET_LIMITS.changes)),
  changesSince: z.int().check(z.gte(0)),
  /** Small bodies of `changes`, by hash. */
  bodies: z.record(hash, z.string().check(z.maxLength(FLEET_LIMITS.inlineBytes))),
  /** Absent: all hosts take it. */
  stage: z.optional(stage),
});

/** What of a publisher the list cannot hold: a name, or patterns of namespaces; undefined: it can hold all. */
export function publisherFault(one: Pick<z.output<typeof publisher>, 'name' | 'namespaces'>):
  | {
      readonly field: 'name' | 'namespaces';
      readonly value: string;
    }
  | undefined {
  const { shape } = publisher;
  if (!z.safeParse(shape.name, one.name).success) return { field: 'name', value: one.name };
  const wrong = one.namespaces.find((text) => !z.safeParse(pattern, text).success);
  return wrong === undefined ? undefined : { field: 'namespaces', value: wrong };
}

const freeze = z.strictObject({
  version: z.literal(1),
  fleet: z.string().check(z.maxLength(64)),
  /** Grows, so that an earlier word cannot be repeated. */
  revision,
  frozen: z.boolean(),
  atMs: timeMs,
  message: z.optional(line),
});

export type Publisher = z.output<typeof publisher>;
export type MeshDocument = z.output<typeof mesh>;
export type Stage = z.output<typeof stage>;
export type HeadDocument = z.output<typeof head>;
export type FreezeDocument = z.output<typeof freeze>;
type ChangeTuple = z.output<typeof change>;

/** A resource as somebody published it, or deleted it. */
export interface Change {
  readonly kind: string;
  readonly name: string;
  /** Null: deleted. */
  readonly hash: string | null;
  /** In which this was. */
  readonly revision: number;
  /** In which the resource was created. */
  readonly created: number;
  readonly createdMs: number;
  /** Id of the publisher's key. */
  readonly key: string;
  readonly signature: string;
}

/** A resource that there is. */
export type Entry = Change & { readonly hash: string };

export function changeOf(tuple: ChangeTuple): Change {
  const [ofKind, ofName, bodyHash, inRevision, created, createdMs, key, signed] = tuple;
  return {
    kind: ofKind,
    name: ofName,
    hash: bodyHash,
    revision: inRevision,
    created,
    createdMs,
    key,
    signature: signed,
  };
}

export function tupleOf(one: Change): ChangeTuple {
  return [one.kind, one.name, one.hash, one.revision, one.created, one.createdMs, one.key, one.signature];
}

/** What the signature of a change is over. */
export function changeText(fleet: string, inNamespace: string, one: Omit<Change, 'key' | 'signature'>): string {
  return JSON.stringify([fleet, inNamespace, one.kind, one.name, one.hash, one.revision, one.created, one.createdMs]);
}

/** `VirtualService/reviews` */
export const entryKey = (one: Pick<Change, 'kind' | 'name'>): string => `${one.kind}/${one.name}`;

/** The order of an index. */
export function compareEntries(a: Change, b: Change): number {
  const [x, y] = [entryKey(a), entryKey(b)];
  return x < y ? -1 : Number(x > y);
}

function read<T>(schema: z.ZodMiniType<T>, text: string): T | Refused {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { refused: 'its content is not JSON' };
  }
  const parsed = z.safeParse(schema, value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return {
    refused: `its content is malformed at "${issue?.path.join('.') ?? ''}"; a newer version may have written it`,
  };
}

export const readMeshDocument = (payload: string): MeshDocument | Refused => read(mesh, payload);
export const readHeadDocument = (payload: string): HeadDocument | Refused => read(head, payload);
export const readFreezeDocument = (payload: string): FreezeDocument | Refused => read(freeze, payload);

const indexPart = z.array(change).check(z.maxLength(FLEET_LIMITS.indexEntries));

/** A part of an index whose hash was checked. */
export function readIndexPart(text: string): readonly Change[] | Refused {
  const tuples = read(indexPart, text);
  return 'refused' in tuples ? tuples : tuples.map(changeOf);
}

/** The texts of an index, sorted entries cut into parts. */
export function indexParts(entries: readonly Entry[]): readonly string[] {
  const sorted = entries.toSorted(compareEntries).map(tupleOf);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; i += FLEET_LIMITS.indexEntries)
    parts.push(JSON.stringify(sorted.slice(i, i + FLEET_LIMITS.indexEntries)));
  return parts;
}
