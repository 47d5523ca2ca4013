/** The roots that all identities of a host share. */
import { mergeRoots } from './trust-bundle.ts';

export class TrustedRoots {
  readonly #keepsFormer: boolean;
  readonly #now: () => number;
  #roots: readonly string[] = [];

  /**
   * @param keepsFormer whether roots that are no longer named stay until they expire: a CA answers with those of now
   * alone, files hold the operator's complete word
   */
  constructor(keepsFormer: boolean, now: () => number) {
    this.#keepsFormer = keepsFormer;
    this.#now = now;
  }

  /** PEM, one certificate each. */
  get pem(): readonly string[] {
    return this.#roots;
  }

  /** Returns whether that changed anything. */
  learn(received: readonly string[]): boolean {
    const roots = mergeRoots(this.#keepsFormer ? this.#roots : [], received, this.#now());
    const changed = roots.join('') !== this.#roots.join('');
    this.#roots = roots;
    return changed;
  }
}
