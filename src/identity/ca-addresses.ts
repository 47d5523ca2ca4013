/** The addresses of a CA: tried in turn, the one that answered last first, with what is known of its health. */
import { errorMessage, TrysailError } from '../lib/errors.ts';

/** Errors after which another address may do better. */
const TRY_NEXT = new Set([
  'CA_UNREACHABLE',
  'CA_BUSY',
  'CA_UNTRUSTED',
  'CA_ROOT_MISMATCH',
  'CA_FAILED',
  'CLOCK_BEHIND',
  'CLOCK_AHEAD',
]);
/** Answers of the CA itself: it is there, and says no. */
const REFUSALS = new Set(['CA_REFUSED', 'CA_UNAUTHENTICATED', 'CA_REQUEST_INVALID']);

/** Whether the CA itself said no. */
export function isRefusal(error: unknown): boolean {
  return error instanceof TrysailError && REFUSALS.has(error.code);
}

export class CaAddresses {
  readonly #configured: readonly string[];
  readonly #now: () => number;
  #preferred: string | undefined;
  #reachable: boolean | undefined;
  #lastContactAtMs: number | undefined;
  #lastError: string | undefined;

  /** @param configured `host:port`; empty: those that each call brings along */
  constructor(configured: readonly string[], now: () => number) {
    this.#configured = configured;
    this.#now = now;
  }

  get health(): {
    readonly reachable: boolean | undefined;
    readonly lastContactAtMs: number | undefined;
    readonly lastError: string | undefined;
  } {
    return { reachable: this.#reachable, lastContactAtMs: this.#lastContactAtMs, lastError: this.#lastError };
  }

  /** In the order in which they are tried. */
  inOrder(known: readonly string[]): readonly string[] {
    const all = this.#configured.length > 0 ? this.#configured : known;
    const preferred = this.#preferred;
    return preferred !== undefined && all.includes(preferred)
      ? [preferred, ...all.filter((address) => address !== preferred)]
      : all;
  }

  /** The first answer. Throws the last failure, at once when the CA refuses, or CA_ADDRESS_INVALID without an address. */
  async anywhere<T>(known: readonly string[], attempt: (address: string) => Promise<T>): Promise<T> {
    let last: unknown = new TrysailError('CA_ADDRESS_INVALID', 'no address of the CA is known', {
      remedy: 'Set identity.ca.address.',
    });
    for (const address of this.inOrder(known)) {
      try {
        const answer = await attempt(address);
        this.#preferred = address;
        this.#reachable = true;
        this.#lastContactAtMs = this.#now();
        this.#lastError = undefined;
        return answer;
      } catch (error) {
        last = error;
        this.#reachable = isRefusal(error);
        this.#lastError = errorMessage(error);
        if (!(error instanceof TrysailError) || !TRY_NEXT.has(error.code)) break;
      }
    }
    throw last;
  }
}
