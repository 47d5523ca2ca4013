/** What stands around the data in Consul's answers: index, staleness, and JSON that is checked before it is believed. */
import type { IncomingHttpHeaders } from 'node:http';
import { type Asked, answerFailure } from './failure.ts';
import type { ConsulReply } from './transport.ts';

/** How a read is done. https://developer.hashicorp.com/consul/api-docs/features/blocking */
export interface ReadOptions {
  /** The index of the last answer: the request blocks until there is a newer one. 0 or absent: answers at once. */
  readonly index?: number;
  /** For how long a blocking request may wait, in milliseconds; Consul adds up to a sixteenth. 5 minutes by default. */
  readonly waitMs?: number;
  /** Any server may answer, also one that lags behind the leader (`lastContactMs` says how far). */
  readonly stale?: boolean;
  /** The local agent may answer from its cache, which it keeps current itself. */
  readonly cached?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** One answer of Consul. */
export interface Answer<T> {
  readonly value: T;
  /** X-Consul-Index; 0 when missing or unusable. */
  readonly index: number;
  /** For how long the answering server (or cache) had not heard from the leader (or a server), in milliseconds. */
  readonly lastContactMs: number;
  /** Whether the answering server knew a leader. */
  readonly knownLeader: boolean;
  /** Whether Consul left something out that the token may not see (said by Consul 1.11 and later only). */
  readonly filteredByAcl: boolean;
  /** Size of the body in bytes. */
  readonly bytes: number;
}

const DEFAULT_WAIT_MS = 300_000;
/** Beyond Consul's own waiting time: for the answer's way to us. */
const ANSWER_MS = 10_000;

/** The query parameters and the time limit of a read. */
export function readParameters(options: ReadOptions): {
  readonly query: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly timeoutMs: number;
} {
  const { index = 0, waitMs = DEFAULT_WAIT_MS, stale = false, cached = false } = options;
  const blocking = index > 0;
  return {
    query: { stale, cached, index: blocking ? index : undefined, wait: blocking ? `${waitMs}ms` : undefined },
    timeoutMs: blocking ? Math.ceil(waitMs * (1 + 1 / 16)) + ANSWER_MS : ANSWER_MS,
  };
}

function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function count(text: string | undefined): number {
  const value = Number(text ?? 0);
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
}

/** Wraps the value of a reply with what its headers say. */
export function answerOf<T>(reply: ConsulReply, value: T): Answer<T> {
  return {
    value,
    index: count(header(reply.headers, 'x-consul-index')),
    lastContactMs: Math.max(
      count(header(reply.headers, 'x-consul-lastcontact')),
      // For how long a cached answer has not been refreshed, in seconds; 0 while the cache is connected.
      1000 * count(header(reply.headers, 'age')),
    ),
    knownLeader: header(reply.headers, 'x-consul-knownleader') !== 'false',
    filteredByAcl: header(reply.headers, 'x-consul-results-filtered-by-acls') === 'true',
    bytes: reply.body.length,
  };
}

/** The body as JSON. @throws TrysailError `CONSUL_ANSWER_INVALID` */
export function jsonOf(reply: ConsulReply, asked: Asked): unknown {
  try {
    return JSON.parse(reply.body.toString('utf8')) as unknown;
  } catch (cause) {
    throw answerFailure(asked, 'the answer is not JSON', cause);
  }
}

/** A list in an answer; Consul writes an empty one as `null` in places. @throws TrysailError `CONSUL_ANSWER_INVALID` */
export function listOf(value: unknown, asked: Asked): readonly unknown[] {
  if (value === null) return [];
  if (!Array.isArray(value)) throw answerFailure(asked, 'a list was expected');
  return value;
}

/** An object's fields; no fields for anything else. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};
}

/** The text, or `otherwise` for anything that is none. */
export function textOf(value: unknown, otherwise = ''): string {
  return typeof value === 'string' ? value : otherwise;
}

/** The whole number, or `otherwise` for anything that is none. */
export function numberOf(value: unknown, otherwise = 0): number {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : otherwise;
}

/** The texts of a list; what is no text is left out. */
export function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** The texts of an object; what is no text is left out. */
export function textMapOf(value: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(fieldsOf(value));
  return entries.every(([, item]) => typeof item === 'string')
    ? (fieldsOf(value) as Readonly<Record<string, string>>)
    : Object.fromEntries(entries.flatMap(([key, item]) => (typeof item === 'string' ? [[key, item]] : [])));
}
