/** Which services a change of rules and services can concern, so that what is built for the others need not be looked at. */
import { differingKeys } from '../../lib/changed-keys.ts';
import type { Mesh } from '../../model/mesh.ts';
import { specificity } from './host-pattern.ts';
import { destinationsOf } from './scope.ts';

/** Whether a service, its endpoints or the rules for it may be others than before. */
export type Touched = (service: { readonly host: string; readonly aliases: readonly string[] }) => boolean;

export interface RuleChanges {
  readonly touched: Touched;
  /** The hosts of services that are others than before, have come or gone. */
  readonly services: ReadonlySet<string>;
}

/** What a change can be followed of. */
const FOLLOWED: ReadonlySet<keyof Mesh> = new Set([
  'virtualServices',
  'destinationRules',
  'services',
  'endpoints',
  'diagnostics',
]);

/**
 * The elements that are in one of the lists alone; undefined when those of both have changed their order, which is a
 * change of its own.
 */
function difference<T>(before: readonly T[], after: readonly T[]): readonly T[] | undefined {
  if (before === after) return [];
  const old = new Set(before);
  const now = new Set(after);
  const kept = before.filter((one) => now.has(one));
  const stayed = after.filter((one) => old.has(one));
  if (!kept.every((one, i) => one === stayed[i])) return undefined;
  return [...before.filter((one) => !now.has(one)), ...after.filter((one) => !old.has(one))];
}

/** Beyond this, looking at everything costs no more. */
const MOST_PATTERNS = 200;

/**
 * What the change from one mesh to another concerns, when only some VirtualServices, DestinationRules, services and
 * endpoints are others; undefined for any other change.
 */
export function ruleChanges(before: Mesh, after: Mesh): RuleChanges | undefined {
  const parts = Object.keys(after) as (keyof Mesh)[];
  if (parts.some((part) => !FOLLOWED.has(part) && before[part] !== after[part])) return undefined;
  const virtualServices = difference(before.virtualServices, after.virtualServices);
  const rules = difference(before.destinationRules, after.destinationRules);
  if (virtualServices === undefined || rules === undefined) return undefined;
  // By a rule that a Sidecar imports its clients reach what it leads to.
  const reached = after.sidecars.length === 0 ? [] : virtualServices.flatMap(destinationsOf);
  const services = new Set(differingKeys(before.services, after.services));
  const endpoints = differingKeys(before.endpoints, after.endpoints);
  const ruled = [...virtualServices.flatMap(({ hosts }) => hosts), ...rules.map(({ host }) => host)];
  const patterns = [...new Set([...ruled, ...reached, ...services, ...endpoints])];
  if (patterns.length > MOST_PATTERNS) return undefined;
  const exact = new Set(patterns);
  const wide = patterns.filter((pattern) => pattern.startsWith('*'));
  const covers = (name: string): boolean =>
    exact.has(name) || wide.some((pattern) => specificity(pattern, name) !== undefined);
  const touched: Touched = ({ host, aliases }) =>
    covers(host) ||
    aliases.some(covers) ||
    // A rule may speak of one of the names that a wildcard service covers.
    (host.startsWith('*') && patterns.some((pattern) => specificity(host, pattern) !== undefined));
  return { touched, services };
}
