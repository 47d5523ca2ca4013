/** Every route of the local API in one table: its place in HTTP and the types of what goes in and comes out. */
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Explanation } from '../model/explanation.ts';
import { CAPTURE_ACTIONS, type CaptureReport, type CaptureRequest } from './capture.ts';
import type { Status } from './status.ts';

/** By call: what is asked and what is answered, as JSON. */
export interface ApiCalls {
  /** Everything that `trysail status` shows. */
  readonly status: { readonly request: undefined; readonly response: Status };
  /** Renews workload certificates now; answers when the new ones are in place. */
  readonly rotate: {
    readonly request: RotateRequest;
    readonly response: { readonly renewed: readonly { readonly spiffeId: string; readonly serial: string }[] };
  };
  /** Reads resource files anew, without waiting for the watcher; answers what is wrong with them. */
  readonly reload: { readonly request: undefined; readonly response: { readonly diagnostics: readonly Diagnostic[] } };
  /** Transparent capture: how it is, and what `trysail capture` changes. */
  readonly capture: { readonly request: CaptureRequest; readonly response: CaptureReport };
  /** What is wrong or doubtful in the resources that the agent works with. */
  readonly analyze: { readonly request: undefined; readonly response: { readonly diagnostics: readonly Diagnostic[] } };
  /** What becomes of a request that a workload of this host makes; none is sent. */
  readonly explain: { readonly request: ExplainRequest; readonly response: Explanation };
}

/** A request as a person writes it. */
export interface ExplainRequest {
  /** `http://reviews:9080/api`, `tls://db.example.com:443`, `tcp://10.0.0.9:5432`. */
  readonly to: string;
  /** `web.default`; absent: the first workload of this host. */
  readonly from?: string;
  /** `default/public`: what arrives at this gateway of the host from outside. */
  readonly gateway?: string;
  readonly method?: string;
  /** `name: value` each. */
  readonly headers?: readonly string[];
  readonly sni?: string;
}

export interface RotateRequest {
  /** Only this identity; absent: all. */
  readonly spiffeId?: string;
}

export type ApiCall = keyof ApiCalls;

interface Route<Request> {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** How long an answer may take. */
  readonly timeoutMs: number;
  /** What the handler is given; throws a sentence where the body is not what the call takes. */
  parse(body: unknown): Request;
}

function nothing(): undefined {
  return undefined;
}

function rotateRequest(body: unknown): RotateRequest {
  if (body === undefined) return {};
  if (typeof body !== 'object' || body === null) throw new TypeError('the body must be a JSON object');
  const { spiffeId, ...unknown } = body as { readonly spiffeId?: unknown };
  if (Object.keys(unknown).length > 0) throw new TypeError(`unknown key ${Object.keys(unknown).join(', ')}`);
  if (spiffeId === undefined) return {};
  if (typeof spiffeId !== 'string') throw new TypeError('spiffeId must be a string');
  return { spiffeId };
}

function captureRequest(body: unknown): CaptureRequest {
  if (typeof body !== 'object' || body === null) throw new TypeError('the body must be a JSON object');
  const { action, confirmed, ...unknown } = body as { readonly action?: unknown; readonly confirmed?: unknown };
  if (Object.keys(unknown).length > 0) throw new TypeError(`unknown key ${Object.keys(unknown).join(', ')}`);
  const known = CAPTURE_ACTIONS.find((each) => each === action);
  if (known === undefined) throw new TypeError(`action must be one of ${CAPTURE_ACTIONS.join(', ')}`);
  if (confirmed !== undefined && typeof confirmed !== 'boolean') throw new TypeError('confirmed must be true or false');
  return { action: known, ...(confirmed === undefined ? {} : { confirmed }) };
}

function optionalText(value: unknown, key: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw new TypeError(`${key} must be a string`);
}

function explainRequest(body: unknown): ExplainRequest {
  if (typeof body !== 'object' || body === null) throw new TypeError('the body must be a JSON object');
  const { to, from, gateway, method, headers, sni, ...unknown } = body as Readonly<Record<string, unknown>>;
  if (Object.keys(unknown).length > 0) throw new TypeError(`unknown key ${Object.keys(unknown).join(', ')}`);
  if (typeof to !== 'string') throw new TypeError('to must be a string');
  if (headers !== undefined && !(Array.isArray(headers) && headers.every((one) => typeof one === 'string')))
    throw new TypeError('headers must be a list of strings');
  const texts = {
    from: optionalText(from, 'from'),
    gateway: optionalText(gateway, 'gateway'),
    method: optionalText(method, 'method'),
    sni: optionalText(sni, 'sni'),
  };
  return {
    to,
    ...(texts.from !== undefined && { from: texts.from }),
    ...(texts.gateway !== undefined && { gateway: texts.gateway }),
    ...(texts.method !== undefined && { method: texts.method }),
    ...(texts.sni !== undefined && { sni: texts.sni }),
    ...(headers !== undefined && { headers }),
  };
}

export const ROUTES: { readonly [Call in ApiCall]: Route<ApiCalls[Call]['request']> } = {
  status: { method: 'GET', path: '/v1/status', timeoutMs: 10_000, parse: nothing },
  rotate: { method: 'POST', path: '/v1/rotate', timeoutMs: 60_000, parse: rotateRequest },
  reload: { method: 'POST', path: '/v1/reload', timeoutMs: 15_000, parse: nothing },
  analyze: { method: 'GET', path: '/v1/analyze', timeoutMs: 15_000, parse: nothing },
  explain: { method: 'POST', path: '/v1/explain', timeoutMs: 15_000, parse: explainRequest },
  capture: { method: 'POST', path: '/v1/capture', timeoutMs: 30_000, parse: captureRequest },
};

/** The body of an answer that is not 200. */
export interface ApiFailure {
  readonly error: { readonly code: string; readonly message: string; readonly remedy?: string };
}
