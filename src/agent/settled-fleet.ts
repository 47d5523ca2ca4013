/**
 * By which instances limits of the fleet are shared out. Envoy begins with full buckets whenever a share changes, so that
 * a roll-out of many instances must not change it with each of them.
 */
import type { Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Endpoint } from '../model/service.ts';
import { sharingGateways } from '../translate/rate-limit/gateway-rate-limits.ts';

/** A change is taken at once, those that follow it together after this time. */
const SETTLE_MS = 10_000;

type Fleet = ReadonlyMap<string, readonly Endpoint[]>;

const NONE: readonly Endpoint[] = [];

function sharedHosts(mesh: Mesh, host: Host): readonly string[] {
  const limited = new Set(
    mesh.rateLimits.flatMap(({ host: one, limits, server }) =>
      server === undefined && limits.some(({ scope }) => scope === 'fleet') ? [one] : [],
    ),
  );
  const own = host.workloads.map(({ serviceHost }) => serviceHost);
  return [...new Set([...own.filter((one) => limited.has(one)), ...sharingGateways(mesh, host)])];
}

/** What a share is made of, as text. */
function sharesOf(endpoints: readonly Endpoint[]): string {
  const live = endpoints.filter(({ health }) => health === 'HEALTHY');
  return live.map(({ address, ports, weight }) => `${address}:${Object.values(ports).join('/')}*${weight}`).join(' ');
}

function isSameFleet(a: Fleet, b: Fleet): boolean {
  return (
    a.size === b.size && [...a].every(([host, endpoints]) => sharesOf(endpoints) === sharesOf(b.get(host) ?? NONE))
  );
}

export class SettledFleet {
  readonly #onDue: () => void;
  readonly #settleMs: number;
  #fleet: Fleet = new Map();
  #takenAtMs = Number.NEGATIVE_INFINITY;
  #due: NodeJS.Timeout | undefined;
  #last: { readonly host: Host; readonly fleet: Fleet; readonly settled: Host } | undefined;

  /** @param onDue called when a change that had to wait is to be asked for */
  constructor(onDue: () => void, settleMs = SETTLE_MS) {
    this.#onDue = onDue;
    this.#settleMs = settleMs;
  }

  /** `host` with the instances by which its limits are shared out now; the same object while nothing is another. */
  settle(mesh: Mesh, host: Host): Host {
    const hosts = sharedHosts(mesh, host);
    if (hosts.length === 0) return host;
    this.#take(new Map(hosts.map((one) => [one, mesh.endpoints.get(one) ?? NONE])));
    const fleet = this.#fleet;
    if (this.#last?.host !== host || this.#last.fleet !== fleet)
      this.#last = { host, fleet, settled: { ...host, fleet } };
    return this.#last.settled;
  }

  #take(now: Fleet): void {
    if (isSameFleet(this.#fleet, now)) return;
    // Limits come and go by somebody's hand; and what nothing was known of took a whole limit for its share.
    const isOther =
      [...now.keys()].join(' ') !== [...this.#fleet.keys()].join(' ') ||
      [...this.#fleet.values()].some((endpoints) => sharesOf(endpoints) === '');
    const waitMs = this.#takenAtMs + this.#settleMs - performance.now();
    if (isOther || waitMs <= 0) {
      this.#fleet = now;
      this.#takenAtMs = performance.now();
      return;
    }
    this.#due ??= setTimeout(() => {
      this.#due = undefined;
      this.#onDue();
    }, waitMs);
  }

  stop(): void {
    clearTimeout(this.#due);
    this.#due = undefined;
  }
}
