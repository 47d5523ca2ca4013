/** Which DestinationRules speak for a service to a client. */
import type { DestinationRule } from '../../model/destination-rule.ts';
import { hasLabels } from '../../model/labels.ts';
import type { Service } from '../../model/service.ts';
import { hostIndexes } from './host-index.ts';
import { specificity } from './host-pattern.ts';
import { isVisible } from './visibility.ts';

/** Whom the rules are chosen for. */
export interface RuleClient {
  readonly namespace: string;
  readonly rootNamespace: string;
  /** Of the calling workload. */
  readonly labels: Readonly<Record<string, string>>;
  /** Where rules without `exportTo` are seen; absent: everywhere. */
  readonly defaultExportTo?: readonly string[];
}

const indexOf = hostIndexes<DestinationRule>(({ host }) => [host]);

function exportedTo({ exportTo }: DestinationRule, client: RuleClient): readonly string[] {
  return exportTo.length === 0 ? (client.defaultExportTo ?? exportTo) : exportTo;
}

/** Whether a rule is for its own namespace alone. */
function isPrivate(rule: DestinationRule, client: RuleClient): boolean {
  const to = exportedTo(rule, client);
  return to.length > 0 && to.every((entry) => entry === '.' || entry === rule.meta.namespace);
}

/** Whether a rule is for the client: exported to it, and its selector, which reaches its own namespace only, has it. */
function isFor(rule: DestinationRule, client: RuleClient): boolean {
  const { meta, workloadSelector: selector } = rule;
  if (!isVisible(exportedTo(rule, client), meta.namespace, client.namespace)) return false;
  return selector === undefined || (meta.namespace === client.namespace && hasLabels(client.labels, selector));
}

/** Rules with one key are joined. */
function joinKey({ host, exportTo, workloadSelector = {} }: DestinationRule): string {
  const labels = Object.entries(workloadSelector).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([host, exportTo, labels]);
}

/**
 * The rules that hold for a service and a client: those of the client's namespace (of the root namespace those that are
 * for it alone, as the others are meant for the mesh), else those of the service's, else those of the root, each of them
 * for the client; there the most specific host. The first place that has one ends the search. There a rule that selects
 * the client goes before those for all.
 * @param rules oldest first
 */
export function chooseRules(
  rules: readonly DestinationRule[],
  service: Pick<Service, 'host' | 'aliases' | 'namespace'>,
  client: RuleClient,
): readonly DestinationRule[] {
  const hosts = [service.host, ...service.aliases];
  const candidates = indexOf(rules).candidates(hosts);
  if (candidates.length === 0) return [];
  const rank = ({ host }: DestinationRule): number =>
    Math.max(...hosts.map((name) => specificity(host, name) ?? Number.NEGATIVE_INFINITY));
  const ofRoot = client.namespace === client.rootNamespace;
  const places = [client.namespace, service.namespace, client.rootNamespace];
  for (const [i, place] of places.entries()) {
    const visible = candidates.filter(
      (rule) => rule.meta.namespace === place && isFor(rule, client) && (i > 0 || !ofRoot || isPrivate(rule, client)),
    );
    if (visible.length === 0) continue;
    const best = Math.max(...visible.map(rank));
    const closest = visible.filter((rule) => rank(rule) === best);
    const oldest = closest.find((rule) => rule.workloadSelector !== undefined) ?? closest[0];
    if (oldest === undefined) continue;
    const key = joinKey(oldest);
    return [oldest, ...closest.filter((rule) => rule !== oldest && joinKey(rule) === key)];
  }
  return [];
}
