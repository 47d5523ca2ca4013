/** The services of this host that are wanted in Consul, by the ids of their registrations. */
import { isDeepStrictEqual } from 'node:util';
import type { Log } from '../lib/log.ts';
import { registrationsOf } from './definition.ts';
import { type Entry, newEntry } from './entry.ts';
import type { LocalInstance } from './instance.ts';

/**
 * The entries of these instances: those of before where nothing has changed, new ones else. The commands of entries that
 * are gone end.
 */
export function replacedEntries(
  before: ReadonlyMap<string, Entry>,
  instances: readonly LocalInstance[],
  { hostName, log }: { readonly hostName: string; readonly log: Log },
): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  const gone = new Map(before);
  for (const [id, { instance, ...registration }] of registrationsOf(instances, hostName)) {
    const old = before.get(id);
    if (old !== undefined && isDeepStrictEqual(old.instance, instance)) {
      entries.set(id, old);
      gone.delete(id);
      continue;
    }
    for (const warning of registration.warnings)
      log.warn({ service: registration.definition.Name, warning }, 'registration: incomplete');
    entries.set(id, newEntry(instance, registration, old));
  }
  for (const { stop } of gone.values()) stop.abort();
  return entries;
}

/** Whether something was just written that is worth a second look at once, for whoever waits for it. Asked once for each. */
export function takeFresh(entries: Iterable<Entry>): boolean {
  let fresh = false;
  for (const entry of entries) {
    if (entry.dirty) continue;
    fresh ||= !entry.confirmed && !entry.lookedAgain;
    entry.lookedAgain = true;
  }
  return fresh;
}

/** Keeps an entry's error, and logs when it becomes another one. */
export function noteError(entry: Entry, error: Entry['error'], log: Log): void {
  const service = entry.registration.definition.Name;
  const { code } = entry.error ?? {};
  entry.error = error;
  if (error?.code === code) return;
  if (error === undefined) log.info({ service }, 'registration: works again');
  else
    log.error(
      { service, code: error.code, error: error.message, remedy: error.remedy },
      'registration: cannot be written to Consul',
    );
}
