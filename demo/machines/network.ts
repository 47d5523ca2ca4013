/** What the demo needs of a network of machines, whichever way they are made. */
import type { Machine } from '../topology.ts';

export interface Network {
  readonly mode: 'namespaces' | 'loopback';
  /** Where the other machines reach this one. */
  addressOf(machine: Machine): string;
  /** An address that only this machine's own processes use. */
  loopbackOf(machine: Machine): string;
  /** The command that runs `argv` on the machine. */
  commandOn(machine: Machine, argv: readonly string[]): readonly string[];
  /** Process ids of everything that runs on the machines, empty where machines share one network stack. */
  processIds(): Promise<readonly number[]>;
  /** Drops all packets to and from a machine; undefined where that is not possible. */
  readonly cut: ((machine: Machine) => Promise<void>) | undefined;
  /** The inverse of `cut`. */
  readonly mend: ((machine: Machine) => Promise<void>) | undefined;
  /** Removes everything that making the network left on this computer. Safe to call twice. */
  remove(): Promise<void>;
}
