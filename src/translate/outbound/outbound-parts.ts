/**
 * The parts of which the outbound side is made, one for what is called in one way: each is made again only when rules for
 * what it names have changed.
 */
import type { OutboundClusters, RecordedClusters } from '../clusters/outbound-clusters.ts';
import type { Kind, ResourceUnits } from '../resource-units.ts';

interface Part {
  readonly value: unknown;
  readonly made: readonly (readonly [Kind, string])[];
  readonly clusters: RecordedClusters;
  /** All hosts whose rules decide about it; undefined: any may. */
  readonly hosts: readonly string[] | undefined;
  /** The translation that asked for it last. */
  round: number;
}

export class OutboundParts {
  readonly #clusters: OutboundClusters;
  #parts = new Map<string, Part>();
  /** Those that are to be made again. */
  #changed: ReadonlySet<string> = new Set();
  /** Clusters that are to be looked at again. */
  #unsettled = new Set<string>();
  #isTouched: (serviceHost: string) => boolean = () => true;
  #round = 0;
  /** Hosts that the part which is being made names, known or not. */
  #named: Set<string> | undefined;

  constructor(clusters: OutboundClusters) {
    this.#clusters = clusters;
  }

  /** Begins a translation in which there are no parts yet. */
  begin(): void {
    this.#round++;
    this.#parts = new Map();
    this.#changed = new Set();
    this.#unsettled = new Set();
  }

  /** Begins a translation with the parts of the last one; those that name a touched host are to be made again. */
  resume(units: ResourceUnits, isTouched: (serviceHost: string) => boolean): void {
    this.#round++;
    this.#isTouched = isTouched;
    this.#unsettled = new Set();
    const changed = new Set<string>();
    for (const [key, part] of this.#parts) {
      if (part.hosts !== undefined && !part.hosts.some(isTouched)) continue;
      changed.add(key);
      this.#release(units, part);
    }
    this.#changed = changed;
  }

  #release(units: ResourceUnits, { made, clusters }: Part): void {
    for (const [kind, name] of made) units.delete(kind, name);
    this.#clusters.release(clusters);
  }

  /** Says that the part which is being made goes by the rules of this host. */
  name(host: string): void {
    this.#named?.add(host);
  }

  /**
   * What `make` returned when the part was made last; it is made if nobody has, or if it has changed. No part has parts.
   * @param host whose rules decide about it, beside those of its clusters and those that it names; undefined: any may
   */
  get<T>(units: ResourceUnits, key: string, host: string | undefined, make: () => T): T {
    const known = this.#parts.get(key);
    if (known !== undefined && !this.#changed.has(key)) {
      known.round = this.#round;
      return known.value as T;
    }
    if (known?.round === this.#round) return known.value as T;
    const named = new Set(host === undefined ? [] : [host]);
    this.#named = named;
    let made: Part['made'] = [];
    let result: { readonly value: T } | undefined;
    const clusters = this.#clusters.record(() => {
      made = units.record(() => {
        result = { value: make() };
      });
    });
    this.#named = undefined;
    for (const [name, serviceHost] of clusters.hosts)
      if (known?.clusters.hosts.has(name) !== true || this.#isTouched(serviceHost)) this.#unsettled.add(name);
    for (const [name, serviceHost] of known?.clusters.hosts ?? [])
      if (!clusters.hosts.has(name) || this.#isTouched(serviceHost)) this.#unsettled.add(name);
    const hosts = host === undefined ? undefined : [...new Set([...named, ...clusters.hosts.values()])];
    const value = (result as { readonly value: T }).value;
    this.#parts.set(key, { value, made, clusters, hosts, round: this.#round });
    return value;
  }

  /** Ends a translation that began with parts: forgets what nobody asked for. Returns the clusters to be made again. */
  settle(units: ResourceUnits): ReadonlySet<string> {
    for (const [key, part] of this.#parts) {
      if (part.round === this.#round) continue;
      this.#parts.delete(key);
      if (!this.#changed.has(key)) this.#release(units, part);
      for (const name of part.clusters.hosts.keys()) this.#unsettled.add(name);
    }
    return this.#unsettled;
  }
}
