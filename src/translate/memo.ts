/** Memo of the units of one kind of the last translation: a unit is rebuilt only when one of its inputs is another. */

interface Entry<T> {
  inputs: readonly unknown[];
  value: T;
  /** The translation that asked for it last. */
  round: number;
}

export class Memo<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #same: (a: T, b: T) => boolean;
  #round = 0;
  /** How many entries are of this round. */
  #asked = 0;
  #recomputed = 0;

  /** @param same whether a rebuilt value says the same as the one before, which is then kept. */
  constructor(same: (a: T, b: T) => boolean = Object.is) {
    this.#same = same;
  }

  /** How often a unit was built since the memo exists. */
  get recomputed(): number {
    return this.#recomputed;
  }

  /** The value of unit `key`; `build` must depend on `inputs` and constants alone. */
  get(key: string, inputs: readonly unknown[], build: (previous: T | undefined) => T): T {
    const known = this.#entries.get(key);
    if (known !== undefined && sameInputs(known.inputs, inputs)) {
      this.#touch(known);
      return known.value;
    }
    this.#recomputed++;
    const built = build(known?.value);
    if (known === undefined) {
      this.#entries.set(key, { inputs, value: built, round: this.#round });
      this.#asked++;
      return built;
    }
    this.#touch(known);
    known.inputs = inputs;
    if (!this.#same(known.value, built)) known.value = built;
    return known.value;
  }

  /** What the last translation has for unit `key`, whatever it was built from; it stays known. */
  keep(key: string): T | undefined {
    const known = this.#entries.get(key);
    if (known !== undefined) this.#touch(known);
    return known?.value;
  }

  #touch(entry: Entry<T>): void {
    if (entry.round === this.#round) return;
    entry.round = this.#round;
    this.#asked++;
  }

  /** Ends a translation: what it did not ask for is forgotten. */
  sweep(): void {
    if (this.#asked < this.#entries.size)
      for (const [key, { round }] of this.#entries) if (round !== this.#round) this.#entries.delete(key);
    this.#round++;
    this.#asked = 0;
  }
}

function sameInputs(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}
