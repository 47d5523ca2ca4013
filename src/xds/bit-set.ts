/** A set of small whole numbers at one bit each. */

export class BitSet {
  #words = new Uint32Array(1);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(bit: number): boolean {
    return ((this.#words[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
  }

  /** @returns whether it was not in the set */
  add(bit: number): boolean {
    const index = bit >>> 5;
    if (index >= this.#words.length) {
      const grown = new Uint32Array(Math.max(index + 1, this.#words.length * 2));
      grown.set(this.#words);
      this.#words = grown;
    }
    if (this.has(bit)) return false;
    this.#words[index] = (this.#words[index] ?? 0) | (1 << (bit & 31));
    this.#size += 1;
    return true;
  }

  /** @returns whether it was in the set */
  delete(bit: number): boolean {
    if (!this.has(bit)) return false;
    const index = bit >>> 5;
    this.#words[index] = (this.#words[index] ?? 0) & ~(1 << (bit & 31));
    this.#size -= 1;
    return true;
  }

  /** In ascending order. */
  *[Symbol.iterator](): Generator<number> {
    for (let index = 0; index < this.#words.length; index += 1) {
      let word = this.#words[index] ?? 0;
      while (word !== 0) {
        const low = word & -word;
        yield index * 32 + (31 - Math.clz32(low));
        word ^= low;
      }
    }
  }
}
