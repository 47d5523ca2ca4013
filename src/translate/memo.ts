/** Memo of the units of one kind of the last translation: a unit is rebuilt only when one of its inputs is another. */

interface Entry<T> {
  readonly inputs: readonly unknown[];
  readonly value: T;
}

export class Memo<T> {
  #last = new Map<string, Entry<T>>();
  #current = new Map<string, Entry<T>>();
  readonly #same: (a: T, b: T) => boolean;
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
    const known = this.#current.get(key) ?? this.#last.get(key);
    if (known !== undefined && sameInputs(known.inputs, inputs)) {
      this.#current.set(key, known);
      return known.value;
    }
    this.#recomputed++;
    const built = build(known?.value);
    const value = known !== undefined && this.#same(known.value, built) ? known.value : built;
    this.#current.set(key, { inputs, value });
    return value;
  }

  /** What the last translation has for unit `key`, whatever it was built from; it stays known. */
  keep(key: string): T | undefined {
    const known = this.#current.get(key) ?? this.#last.get(key);
    if (known !== undefined) this.#current.set(key, known);
    return known?.value;
  }

  /** Ends a translation: what it did not ask for is forgotten. */
  sweep(): void {
    this.#last = this.#current;
    this.#current = new Map();
  }
}

function sameInputs(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((input, i) => Object.is(input, b[i]));
}
