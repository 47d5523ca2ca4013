/** The bodies of what a host holds of the fleet, and the resources that they make. */
import { type ReadingState, readResources } from '../sources/resource-reader.ts';
import { EMPTY_RESOURCES, type ResourceSet } from '../sources/resource-set.ts';
import type { Held } from './accept-head.ts';
import { resourceFiles } from './fleet-resources.ts';

const hashesOf = ({ entries }: Held): readonly string[] => [...entries.values()].map(({ hash }) => hash);

export class ResourcesInForce {
  readonly #bodies = new Map<string, string>();
  #state: ReadingState | undefined;

  get set(): ResourceSet {
    return this.#state?.set ?? EMPTY_RESOURCES;
  }

  /** The size of a body that is there. */
  bodyBytes(hash: string): number | undefined {
    const text = this.#bodies.get(hash);
    return text === undefined ? undefined : Buffer.byteLength(text);
  }

  /** Takes bodies, by their hash. They count when something that is in force has them. */
  add(bodies: ReadonlyMap<string, string>): void {
    for (const [hash, text] of bodies) this.#bodies.set(hash, text);
  }

  /** Those of one namespace that are there, by hash. */
  bodiesOf(held: Held): ReadonlyMap<string, string> {
    return new Map(
      hashesOf(held).flatMap((hash) => {
        const text = this.#bodies.get(hash);
        return text === undefined ? [] : [[hash, text] as const];
      }),
    );
  }

  /**
   * Reads all that is in force, and forgets the other bodies. Returns whether that changed the resources.
   * @param held in force, of each namespace
   * @param next revisions whose bodies are needed soon
   */
  rebuild(held: readonly Held[], next: readonly Held[]): boolean {
    const used = new Set([...held, ...next].flatMap(hashesOf));
    for (const hash of this.#bodies.keys()) if (!used.has(hash)) this.#bodies.delete(hash);
    const files = held.flatMap((one) => resourceFiles(one, (hash) => this.#bodies.get(hash)));
    const before = this.#state?.set;
    this.#state = readResources(this.#state, files);
    return this.#state.set !== before;
  }
}
