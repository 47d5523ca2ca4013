/** What agents must understand to take a resource, and what is done where one of them does not. */
import { TrysailError } from '../lib/errors.ts';
import type { NamespaceChanges } from './compose-head.ts';
import { type FleetHost } from './host-status.ts';

/**
 * Kinds that came with a later level than the first, each with that level: what an agent of before would leave out, or
 * apply without a part of it. A field that changes what its kind means counts as its kind.
 */
const LEVELS: Readonly<Record<string, number>> = {};
const FIRST = 1;
const NAMED = 10;

/** The level that a change asks for. What is deleted asks for nothing. */
function neededLevel(changes: readonly NamespaceChanges[], levels = LEVELS): number {
  return Math.max(FIRST, ...changes.flatMap(({ puts }) => puts.map(({ kind }) => levels[kind] ?? FIRST)));
}

/**
 * Refuses what a host that lives would misread.
 * @param hosts those that the change concerns; silent ones do not count
 * @throws TrysailError `FLEET_TOO_NEW`
 */
export function refuseTooOld(
  hosts: readonly FleetHost[],
  changes: readonly NamespaceChanges[],
  needed = neededLevel(changes),
): void {
  const old = hosts.filter(({ silent, level }) => !silent && level < needed);
  if (old.length === 0) return;
  const named = old.slice(0, NAMED).map(({ host, version }) => `${host} (Trysail ${version})`);
  const rest = old.length > NAMED ? ` and ${old.length - NAMED} more` : '';
  throw new TrysailError(
    'FLEET_TOO_NEW',
    `${old.length} host${old.length === 1 ? '' : 's'} would not understand it: ${named.join(', ')}${rest}.`,
    {
      remedy: 'Upgrade their agents first; or publish all the same, with a reason: --force "they are being replaced".',
    },
  );
}
