/** The addresses of services called by name, kept in the state folder so that they outlive the agent and the host. */
import { readFile } from 'node:fs/promises';
import * as z from 'zod/mini';
import type { AddressRange } from '../lib/address-range.ts';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { errorCode, errorMessage } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { type AddressEntry, assignAddresses } from '../model/service-addresses.ts';

const DAY_MS = 86_400_000;

const STORED = z.object({
  version: z.literal(1),
  services: z.array(
    z.object({
      host: z.string().check(z.minLength(1), z.maxLength(253)),
      addresses: z.array(z.string().check(z.maxLength(45))).check(z.maxLength(2)),
      lastUsedDay: z.int().check(z.minimum(0)),
    }),
  ),
});

export interface ServiceAddressesOptions {
  /** Such as `/var/lib/trysail/addresses.json`. */
  readonly file: string;
  readonly ranges: readonly AddressRange[];
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** Gives every service its addresses, the same after a restart. */
export class ServiceAddresses {
  readonly #options: ServiceAddressesOptions;
  #entries: readonly AddressEntry[];
  #byHost = new Map<string, readonly string[]>();
  #called: readonly string[] = [];
  #stored: string;
  #diagnostics: readonly Diagnostic[];

  private constructor(
    options: ServiceAddressesOptions,
    loaded: { readonly entries: readonly AddressEntry[]; readonly diagnostics: readonly Diagnostic[] },
  ) {
    this.#options = options;
    this.#entries = loaded.entries;
    this.#diagnostics = loaded.diagnostics;
    this.#stored = JSON.stringify(loaded.entries);
  }

  /** Reads the file. One that cannot be read or understood is as none, with a diagnostic (`TRY0107`). */
  static async open(options: ServiceAddressesOptions): Promise<ServiceAddresses> {
    try {
      const { services } = z.parse(STORED, JSON.parse(await readFile(options.file, 'utf8')));
      return new ServiceAddresses(options, { entries: services, diagnostics: [] });
    } catch (error) {
      const diagnostics = errorCode(error) === 'ENOENT' ? [] : [unreadable(options.file, error)];
      return new ServiceAddresses(options, { entries: [], diagnostics });
    }
  }

  /** What was wrong with the file, and for which services there is no room (`TRY0108`). */
  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  /**
   * Says which services are called by name from now on. Before their addresses are told to anyone, `save`: an address
   * that is not kept might be another service's after a restart.
   * @param hosts canonical host names
   * @param taken addresses in the ranges at which something else is reached
   */
  call(hosts: readonly string[], taken: ReadonlySet<string> = new Set()): void {
    const { ranges, now = Date.now } = this.#options;
    this.#called = hosts;
    this.#entries = assignAddresses(this.#entries, hosts, { ranges, taken, today: Math.floor(now() / DAY_MS) });
    this.#byHost = new Map(this.#entries.map(({ host, addresses }) => [host, addresses]));
    this.#diagnostics = [
      ...this.#diagnostics.filter(({ code }) => code !== 'TRY0108'),
      ...hosts.filter((host) => this.of(host).length === 0).map((host) => noRoom(host, ranges)),
    ];
  }

  /** The addresses of a service that is called; of others none. At most one IPv4 and one IPv6 address. */
  of(host: string): readonly string[] {
    return this.#called.includes(host) ? (this.#byHost.get(host) ?? []) : [];
  }

  /** Writes the file if what it should hold has changed; a failure is a diagnostic, and is tried again the next time. */
  async save(): Promise<void> {
    const stored = JSON.stringify(this.#entries);
    if (stored === this.#stored) return;
    const services = this.#entries;
    const others = this.#diagnostics.filter(({ code }) => code !== 'TRY0107');
    try {
      await writeFileAtomic(this.#options.file, `${JSON.stringify({ version: 1, services }, undefined, 1)}\n`);
      this.#stored = stored;
      this.#diagnostics = others;
    } catch (error) {
      this.#diagnostics = [...others, unwritable(this.#options.file, error)];
    }
  }
}

function unreadable(file: string, error: unknown): Diagnostic {
  return {
    code: 'TRY0107',
    severity: 'warning',
    object: file,
    message: `the addresses of services called by name cannot be read (${errorMessage(error)}); they are given anew`,
    remedy: 'Restart applications that keep addresses for long, and look at the disk.',
  };
}

function unwritable(file: string, error: unknown): Diagnostic {
  return {
    code: 'TRY0107',
    severity: 'warning',
    object: file,
    message: `the addresses of services called by name cannot be saved (${errorMessage(error)}); they may be others after a restart`,
    remedy: 'Make room on the disk, and let the agent write there.',
  };
}

function noRoom(host: string, ranges: readonly AddressRange[]): Diagnostic {
  return {
    code: 'TRY0108',
    severity: 'error',
    object: `upstream ${host}`,
    message: `no address is left for it in ${ranges.map(({ text }) => text).join(', ')}; its name does not resolve`,
    remedy: 'Set larger ranges in "dns.addresses".',
  };
}
