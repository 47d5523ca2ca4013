/** Consul's key-value store: single keys, key lists, compare-and-set, transactions. https://developer.hashicorp.com/consul/api-docs/kv */
import { TrysailError } from '../lib/errors.ts';
import {
  type Answer,
  answerOf,
  fieldsOf,
  jsonOf,
  listOf,
  numberOf,
  type ReadOptions,
  readParameters,
  textOf,
} from './answer.ts';
import { answerFailure } from './failure.ts';
import type { Transport } from './transport.ts';

/** Consul 1.8 refuses transactions with more operations; later versions allow 128. */
export const MAX_TRANSACTION_OPERATIONS = 64;
/** Consul's limit of one value, in bytes. */
const MAX_VALUE_BYTES = 512 * 1024;

export interface KvEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Index of the last change: what `cas` compares. */
  readonly modifyIndex: number;
  readonly createIndex: number;
}

/** One step of a transaction. `index` is the `modifyIndex` that must still hold; 0 means that the key must not exist. */
export type KvOperation =
  | { readonly verb: 'set'; readonly key: string; readonly value: Uint8Array }
  | { readonly verb: 'cas'; readonly key: string; readonly value: Uint8Array; readonly index: number }
  | { readonly verb: 'delete'; readonly key: string }
  | { readonly verb: 'delete-cas'; readonly key: string; readonly index: number }
  | { readonly verb: 'check-index'; readonly key: string; readonly index: number }
  | { readonly verb: 'check-not-exists'; readonly key: string };

/** Whether all of a transaction was carried out, or nothing and why. */
export type TransactionResult =
  | { readonly committed: true }
  | { readonly committed: false; readonly errors: readonly { readonly operation: number; readonly message: string }[] };

export interface KvStore {
  /** The value of one key; undefined when there is none. */
  get(key: string, options?: ReadOptions): Promise<Answer<KvEntry | undefined>>;
  /** The keys below a prefix, without values; with a separator only up to its next occurrence, each once. */
  keys(prefix: string, options?: ReadOptions & { readonly separator?: string }): Promise<Answer<readonly string[]>>;
  /** All values below a prefix, at most `maxBytes` of answer. */
  list(prefix: string, options?: ReadOptions & { readonly maxBytes?: number }): Promise<Answer<readonly KvEntry[]>>;
  /** Writes; with `cas` only while the key's `modifyIndex` is that (0: while it does not exist). False: it was not. */
  put(key: string, value: Uint8Array, options?: { readonly cas?: number }): Promise<boolean>;
  /** Deletes; with `cas` only while the key's `modifyIndex` is that. False: it was not. */
  delete(key: string, options?: { readonly cas?: number }): Promise<boolean>;
  /** Carries out all operations or none, at most `MAX_TRANSACTION_OPERATIONS`. */
  transact(operations: readonly KvOperation[]): Promise<TransactionResult>;
}

function pathOf(key: string): string {
  return `/v1/kv/${key.split('/').map(encodeURIComponent).join('/')}`;
}

function entryOf(value: unknown): KvEntry {
  const entry = fieldsOf(value);
  return {
    key: textOf(entry['Key']),
    value: Buffer.from(textOf(entry['Value']), 'base64'),
    modifyIndex: numberOf(entry['ModifyIndex']),
    createIndex: numberOf(entry['CreateIndex']),
  };
}

function checkSize(key: string, value: Uint8Array): void {
  if (value.length <= MAX_VALUE_BYTES) return;
  throw new TrysailError(
    'CONSUL_VALUE_TOO_LARGE',
    `Consul key "${key}": ${value.length} bytes are more than the ${MAX_VALUE_BYTES} that a value may have.`,
    { remedy: 'Split the value.' },
  );
}

/** The key-value store behind a transport. All functions reject with TrysailError `CONSUL_…`. */
export function createKvStore(transport: Transport, address: string): KvStore {
  async function write(
    method: 'PUT' | 'DELETE',
    key: string,
    cas: number | undefined,
    body?: Uint8Array,
  ): Promise<boolean> {
    const reply = await transport.send({
      method,
      path: pathOf(key),
      query: { cas },
      ...(body === undefined ? {} : { body }),
      needs: `key "${key}" { policy = "write" }`,
    });
    return reply.body.toString().trim() === 'true';
  }

  return {
    async get(key, options = {}) {
      const path = pathOf(key);
      const reply = await transport.send({
        method: 'GET',
        path,
        ...readParameters(options),
        signal: options.signal,
        accept: [404],
        needs: `key "${key}" { policy = "read" }`,
      });
      if (reply.status === 404) return answerOf(reply, undefined);
      const asked = { address, what: `GET ${path}` };
      const [first] = listOf(jsonOf(reply, asked), asked);
      const entry = entryOf(first);
      if (entry.key !== key) throw answerFailure(asked, 'the answer is about another key');
      return answerOf(reply, entry);
    },
    async list(prefix, options = {}) {
      const path = pathOf(prefix);
      const { query, timeoutMs } = readParameters(options);
      const { maxBytes } = options;
      const reply = await transport.send({
        method: 'GET',
        path,
        query: { ...query, recurse: true },
        timeoutMs,
        signal: options.signal,
        accept: [404],
        ...(maxBytes === undefined ? {} : { maxBytes }),
        needs: `key_prefix "${prefix}" { policy = "read" }`,
      });
      if (reply.status === 404) return answerOf(reply, []);
      const asked = { address, what: `GET ${path}?recurse` };
      return answerOf(reply, listOf(jsonOf(reply, asked), asked).map(entryOf));
    },
    async keys(prefix, options = {}) {
      const path = pathOf(prefix);
      const { query, timeoutMs } = readParameters(options);
      const reply = await transport.send({
        method: 'GET',
        path,
        query: { ...query, keys: true, separator: options.separator },
        timeoutMs,
        signal: options.signal,
        accept: [404],
        needs: `key_prefix "${prefix}" { policy = "list" }`,
      });
      if (reply.status === 404) return answerOf(reply, []);
      const asked = { address, what: `GET ${path}?keys` };
      return answerOf(
        reply,
        listOf(jsonOf(reply, asked), asked).filter((item) => typeof item === 'string'),
      );
    },
    put: async (key, value, options = {}) => {
      checkSize(key, value);
      return write('PUT', key, options.cas, value);
    },
    delete: (key, options = {}) => write('DELETE', key, options.cas),
    async transact(operations) {
      if (operations.length > MAX_TRANSACTION_OPERATIONS)
        throw new TrysailError(
          'CONSUL_TRANSACTION_TOO_LARGE',
          `A Consul transaction of ${operations.length} operations: more than ${MAX_TRANSACTION_OPERATIONS}.`,
          { remedy: 'Split it into several.' },
        );
      const body = operations.map((operation) => {
        if ('value' in operation) checkSize(operation.key, operation.value);
        return {
          KV: {
            Verb: operation.verb,
            Key: operation.key,
            ...('value' in operation ? { Value: Buffer.from(operation.value).toString('base64') } : {}),
            ...('index' in operation ? { Index: operation.index } : {}),
          },
        };
      });
      const reply = await transport.send({
        method: 'PUT',
        path: '/v1/txn',
        body: JSON.stringify(body),
        accept: [409],
        needs: `key_prefix "…" { policy = "write" } for ${operations.map((o) => `"${o.key}"`).join(', ')}`,
      });
      if (reply.status !== 409) return { committed: true };
      const asked = { address, what: 'PUT /v1/txn' };
      const errors = listOf(fieldsOf(jsonOf(reply, asked))['Errors'] ?? [], asked).map(fieldsOf);
      return {
        committed: false,
        errors: errors.map((e) => ({ operation: numberOf(e['OpIndex']), message: textOf(e['What']) })),
      };
    },
  };
}
