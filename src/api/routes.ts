/** Every route of the local API in one table: its place in HTTP and the types of what goes in and comes out. */
import type { Diagnostic } from '../model/diagnostic.ts';
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
}

export interface RotateRequest {
  /** Only this identity; absent: all. */
  readonly spiffeId?: string;
}

export type ApiCall = keyof ApiCalls;

interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** How long an answer may take. */
  readonly timeoutMs: number;
}

export const ROUTES: Readonly<Record<ApiCall, Route>> = {
  status: { method: 'GET', path: '/v1/status', timeoutMs: 5000 },
  rotate: { method: 'POST', path: '/v1/rotate', timeoutMs: 60_000 },
  reload: { method: 'POST', path: '/v1/reload', timeoutMs: 15_000 },
};

/** The body of an answer that is not 200. */
export interface ApiFailure {
  readonly error: { readonly code: string; readonly message: string; readonly remedy?: string };
}
