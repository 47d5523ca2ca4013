/** Health answers of Consul → instances of the catalogue, sharing everything that has not changed with those before. */
import type { CheckStatus, HealthEntry } from '../consul/health.ts';
import { GOSSIP_CHECK } from '../consul/health.ts';
import type { CatalogueInstance } from './catalogue-state.ts';

/** Consul's own limits of what an agent may register; the catalogue's API does not hold them. */
const MAX_META = 64;
const MAX_META_KEY = 128;
const MAX_TEXT = 512;
const MAX_TAGS = 64;
const MAX_WEIGHT = 65_535;
/** At most so many odd entries of one service are described. */
const MAX_ODD = 3;

/** What one answer says of one service. */
export interface CatalogueReading {
  /** Sorted by id; the array before it when nothing has changed. */
  readonly instances: readonly CatalogueInstance[];
  /** Ids of the instances whose node Consul's gossip takes for failed. */
  readonly gossipFailed: ReadonlySet<string>;
  /** What was left out and why, a sentence each. */
  readonly odd: readonly string[];
}

const NONE: ReadonlySet<string> = new Set();

function worst(entry: HealthEntry): CheckStatus {
  let status: CheckStatus = 'passing';
  for (const check of entry.checks) {
    if (check.status === 'critical') return 'critical';
    if (check.status === 'warning') status = 'warning';
  }
  return status;
}

function gossipFailed(entry: HealthEntry): boolean {
  return entry.checks.some((check) => check.ofNode && check.id === GOSSIP_CHECK && check.status === 'critical');
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

function sameMap(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function sameInstance(a: CatalogueInstance, b: CatalogueInstance): boolean {
  return (
    a.address === b.address &&
    a.port === b.port &&
    a.status === b.status &&
    a.datacenter === b.datacenter &&
    a.weights.passing === b.weights.passing &&
    a.weights.warning === b.weights.warning &&
    sameList(a.tags, b.tags) &&
    sameMap(a.meta, b.meta)
  );
}

function whyUnusable(entry: HealthEntry, address: string): string | undefined {
  if (entry.node === '' || entry.serviceId === '') return 'it has no node or no service id';
  if (entry.port < 1 || entry.port > 65_535) return `port ${entry.port} is not between 1 and 65535`;
  if (address === '') return 'neither it nor its node has an address';
  if (address.length > 255 || /[\s/\p{Cc}]/u.test(address)) return 'its address is neither an IP address nor a name';
  return undefined;
}

const weight = (value: number): number => Math.min(MAX_WEIGHT, Math.max(0, value));

function boundedMeta(meta: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(meta);
  const fits = ([key, value]: readonly [string, string]): boolean =>
    key.length <= MAX_META_KEY && value.length <= MAX_TEXT;
  return entries.length <= MAX_META && entries.every(fits)
    ? meta
    : Object.fromEntries(entries.filter(fits).slice(0, MAX_META));
}

function boundedTags(tags: readonly string[]): readonly string[] {
  return tags.length <= MAX_TAGS && tags.every((tag) => tag.length <= MAX_TEXT)
    ? tags
    : tags.filter((tag) => tag.length <= MAX_TEXT).slice(0, MAX_TAGS);
}

/**
 * Reads a health answer.
 * @param previous the instances before, of which unchanged ones keep their object
 */
export function readInstances(
  entries: readonly HealthEntry[],
  previous: readonly CatalogueInstance[] = [],
): CatalogueReading {
  const before = new Map(previous.map((instance) => [instance.id, instance]));
  const found = new Map<string, CatalogueInstance>();
  const failed = new Set<string>();
  const odd: string[] = [];
  const complain = (id: string, why: string): void => {
    if (odd.length < MAX_ODD) odd.push(`instance "${id.slice(0, 200)}": ${why}`);
  };
  // Instances of a service mostly carry the same tags and Meta: one copy of each is kept.
  let alike: CatalogueInstance | undefined = previous[0];
  for (const entry of entries) {
    const id = `${entry.node}/${entry.serviceId}`;
    const address = entry.serviceAddress === '' ? entry.nodeAddress : entry.serviceAddress;
    const unusable = whyUnusable(entry, address);
    if (unusable !== undefined) {
      complain(id, `${unusable}; it is left out`);
      continue;
    }
    if (found.has(id)) continue;
    const tags = boundedTags(entry.tags);
    const meta = boundedMeta(entry.meta);
    if (tags !== entry.tags || meta !== entry.meta) complain(id, 'tags or Meta beyond Consul’s limits are left out');
    const weights = { passing: weight(entry.weights.passing), warning: weight(entry.weights.warning) };
    const fresh: CatalogueInstance = {
      id,
      node: entry.node,
      address,
      port: entry.port,
      status: worst(entry),
      tags: alike !== undefined && sameList(alike.tags, tags) ? alike.tags : tags,
      meta: alike !== undefined && sameMap(alike.meta, meta) ? alike.meta : meta,
      weights:
        alike?.weights.passing === weights.passing && alike.weights.warning === weights.warning
          ? alike.weights
          : weights,
      datacenter: entry.datacenter,
    };
    const old = before.get(id);
    const instance = old !== undefined && sameInstance(old, fresh) ? old : fresh;
    alike = instance;
    found.set(id, instance);
    if (gossipFailed(entry)) failed.add(id);
  }
  const instances = [...found.values()].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  return {
    instances: sameInstances(previous, instances) ? previous : instances,
    gossipFailed: failed.size === 0 ? NONE : failed,
    odd,
  };
}

/** Whether two lists hold the same objects in the same order. */
export function sameInstances(a: readonly CatalogueInstance[], b: readonly CatalogueInstance[]): boolean {
  return a.length === b.length && a.every((instance, i) => instance === b[i]);
}
