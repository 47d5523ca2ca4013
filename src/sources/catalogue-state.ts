/** What Consul's catalogue says of the services that this host asks for, before anybody judges it. */
import type { Diagnostic } from '../model/diagnostic.ts';

/** One instance as registered. Everything in it is a claim of whoever registered it. */
export interface CatalogueInstance {
  /** `<node>/<service id>`: unique in the datacenter. */
  readonly id: string;
  readonly node: string;
  /** The service's address, else its node's. */
  readonly address: string;
  readonly port: number;
  /** The worst of its checks and its node's. `maintenance` counts as critical. */
  readonly status: 'passing' | 'warning' | 'critical';
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly weights: { readonly passing: number; readonly warning: number };
  readonly datacenter: string;
}

/** Immutable; an unchanged service keeps its array, an unchanged instance its object. */
export interface CatalogueState {
  /** By Consul name; sorted by id. A name that is missing was never answered; an empty array is a trusted "none". */
  readonly services: ReadonlyMap<string, readonly CatalogueInstance[]>;
  /** Alerts such as a hidden sentinel or endpoints held back. */
  readonly diagnostics: readonly Diagnostic[];
}
