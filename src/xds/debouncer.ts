/** Gathers bursts of changes, except that changed endpoints do not wait: traffic to a dead one fails meanwhile. */
import { type Resource, type Resources, TYPE_URL } from './resource.ts';

export interface DebounceOptions {
  /** How long nothing must change before changes are passed on, in milliseconds. */
  readonly quietMs: number;
  /** The longest that a change waits, in milliseconds. */
  readonly maxMs: number;
}

const NONE: ReadonlyMap<string, Resource> = new Map();

export class Debouncer {
  readonly #options: DebounceOptions;
  readonly #pass: (resources: Resources) => void;
  #passed: Resources | undefined;
  #sinceMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DebounceOptions, pass: (resources: Resources) => void) {
    this.#options = options;
    this.#pass = pass;
  }

  /** The first resources are passed on at once. */
  set(resources: Resources): void {
    clearTimeout(this.#timer);
    if (this.#passed === undefined) {
      this.#take(resources);
      return;
    }
    const nowMs = performance.now();
    const sinceMs = this.#sinceMs ?? nowMs;
    const endpoints = changedOnly(this.#passed.get(TYPE_URL.endpoint), resources.get(TYPE_URL.endpoint));
    this.#take(new Map([...this.#passed, [TYPE_URL.endpoint, endpoints]]));
    this.#sinceMs = sinceMs;
    const delayMs = Math.max(0, Math.min(this.#options.quietMs, sinceMs + this.#options.maxMs - nowMs));
    this.#timer = setTimeout(() => this.#take(resources), delayMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #take(resources: Resources): void {
    this.#sinceMs = undefined;
    this.#passed = resources;
    this.#pass(resources);
  }
}

/** `now`, with what `next` changes of it; nothing appears or goes. */
function changedOnly(
  now: ReadonlyMap<string, Resource> = NONE,
  next: ReadonlyMap<string, Resource> = NONE,
): ReadonlyMap<string, Resource> {
  let merged: Map<string, Resource> | undefined;
  for (const [name, resource] of now) {
    const changed = next.get(name);
    if (changed === undefined || changed === resource) continue;
    merged ??= new Map(now);
    merged.set(name, changed);
  }
  return merged ?? now;
}
