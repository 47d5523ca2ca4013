/** One service of this host on its way into Consul: what is wanted, and what is known of it. */
import { isDeepStrictEqual } from 'node:util';
import type { AgentCheck, AgentService } from '../consul/agent-api.ts';
import type { CheckStatus } from '../consul/health.ts';
import type { TrysailError } from '../lib/errors.ts';
import type { CommandResult } from './command-check.ts';
import type { Registration } from './definition.ts';
import type { LocalInstance } from './instance.ts';

/** `none`: there is no such check; `unknown`: Consul has not been asked yet. */
export type RegisteredHealth = CheckStatus | 'none' | 'unknown';

/** Its owner changes it. */
export interface Entry {
  readonly registration: Registration;
  readonly instance: LocalInstance;
  /** Ends its command check. */
  readonly stop: AbortController;
  /** Whether it has to be sent even if Consul's view looks the same. */
  dirty: boolean;
  /** Whether Consul was seen to have it, with the healths below, since it was sent. */
  confirmed: boolean;
  /** Whether Consul was asked once more, soon after it was sent. */
  lookedAgain: boolean;
  sinceMs: number | undefined;
  error: TrysailError | undefined;
  application: RegisteredHealth;
  proxy: RegisteredHealth;
  /** Last result of the command check. */
  result: CommandResult | undefined;
}

/** An entry that is still to be sent. `before` is the one that it replaces. */
export function newEntry(instance: LocalInstance, registration: Registration, before: Entry | undefined): Entry {
  return {
    registration,
    instance,
    stop: new AbortController(),
    dirty: true,
    confirmed: false,
    lookedAgain: false,
    sinceMs: before?.sinceMs,
    error: undefined,
    application: registration.applicationCheckId === undefined ? 'none' : 'unknown',
    proxy: registration.proxyCheckId === undefined ? 'none' : 'unknown',
    result: undefined,
  };
}

/** Whether Consul has what we want, as far as its answers show it (they show no check's definition). */
export function isRegistered(
  { definition }: Registration,
  services: ReadonlyMap<string, AgentService>,
  checks: ReadonlyMap<string, AgentCheck>,
): boolean {
  const live = services.get(definition.ID);
  return (
    live !== undefined &&
    live.name === definition.Name &&
    live.address === definition.Address &&
    live.port === definition.Port &&
    live.weights.passing === definition.Weights.Passing &&
    live.weights.warning === definition.Weights.Warning &&
    isDeepStrictEqual(live.tags, definition.Tags) &&
    isDeepStrictEqual({ ...live.meta }, { ...definition.Meta }) &&
    definition.Checks.every((check) => checks.get(check.CheckID)?.serviceId === definition.ID)
  );
}
