/** How this host's services stand in Consul, for `trysail status` and for whoever waits for it. */
import type { TrysailError } from '../lib/errors.ts';
import type { Entry, RegisteredHealth } from './entry.ts';

/** How one service stands. */
export interface RegisteredService {
  /** `namespace/name` of the instance. */
  readonly instance: string;
  readonly consulName: string;
  readonly id: string;
  /** As far as last known; `error` says why it may be otherwise. */
  readonly registered: boolean;
  /** Whether Consul was seen to have it as it is wanted now, and the healths are of this registration. */
  readonly confirmed: boolean;
  /** Since when, in milliseconds since the epoch. */
  readonly sinceMs: number | undefined;
  readonly error: TrysailError | undefined;
  readonly application: RegisteredHealth;
  readonly proxy: RegisteredHealth;
  /** What could not be registered, a sentence each. */
  readonly warnings: readonly string[];
}

export interface RegistrarStatus {
  /** Consul's address. */
  readonly address: string;
  /** Whether the last request to the Consul agent was answered. */
  readonly connected: boolean;
  /** Whether Consul was brought to what is wanted now: everything written, and what is no longer wanted removed. */
  readonly current: boolean;
  readonly services: readonly RegisteredService[];
}

/** What is told of an entry of the registrar: a copy, which does not change with it. */
export function registeredService({ instance, registration, ...entry }: Entry): RegisteredService {
  const { definition, warnings } = registration;
  return {
    instance: `${instance.namespace}/${instance.name}`,
    consulName: definition.Name,
    id: definition.ID,
    registered: entry.sinceMs !== undefined,
    confirmed: entry.confirmed,
    sinceMs: entry.sinceMs,
    error: entry.error,
    application: entry.application,
    proxy: entry.proxy,
    warnings,
  };
}
