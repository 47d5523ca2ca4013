/**
 * Which cgroup each systemd unit has now. A unit that does not run has none, and one that starts anew has another one at
 * the same path: rules that match a cgroup have to be loaded again then.
 * https://systemd.io/CGROUP_DELEGATION/
 */
import { existsSync, type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';

/** Where nft looks for cgroups, wherever else the hierarchy may be mounted. */
const CGROUP_ROOT = '/sys/fs/cgroup';
/** For events that were missed; a scan reads a few folders. */
const RESCAN_MS = 10_000;
/** Slices below slices, such as `system.slice/system-getty.slice`. */
const MAX_DEPTH = 8;

export interface UnitCgroup {
  /** Below the root, such as `system.slice/orders.service`. */
  readonly path: string;
  /** Its inode, by which the kernel knows it. */
  readonly id: number;
}

/** Whether units can be told apart: the hierarchy at `root` is cgroup v2. */
export function hasCgroups(root = CGROUP_ROOT): boolean {
  return existsSync(join(root, 'cgroup.procs'));
}

export interface CgroupWatcherOptions {
  /** Full names, such as `orders.service`. */
  readonly units: readonly string[];
  readonly root?: string;
  /** Told after every change, with all units that run. */
  readonly onChange: (current: ReadonlyMap<string, UnitCgroup>) => void;
}

/** Follows the cgroups of some units until it is closed. */
export class CgroupWatcher {
  readonly #units: ReadonlySet<string>;
  readonly #root: string;
  readonly #onChange: CgroupWatcherOptions['onChange'];
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #timer: NodeJS.Timeout;
  #current: ReadonlyMap<string, UnitCgroup> = new Map();
  #soon: NodeJS.Immediate | undefined;

  constructor({ units, root = CGROUP_ROOT, onChange }: CgroupWatcherOptions) {
    this.#units = new Set(units);
    this.#root = root;
    this.#onChange = onChange;
    this.#current = this.#scan();
    this.#timer = setInterval(() => this.#rescan(), RESCAN_MS).unref();
  }

  /** The cgroups of the units that run, by unit; one that is missing does not run. */
  get current(): ReadonlyMap<string, UnitCgroup> {
    return this.#current;
  }

  /** Looks now, without waiting for an event; the new state. */
  refresh(): ReadonlyMap<string, UnitCgroup> {
    this.#rescan();
    return this.#current;
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#soon !== undefined) clearImmediate(this.#soon);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #rescan(): void {
    const found = this.#scan();
    const same =
      found.size === this.#current.size &&
      [...found].every(([unit, { path, id }]) => {
        const before = this.#current.get(unit);
        return before?.id === id && before.path === path;
      });
    if (same) return;
    this.#current = found;
    this.#onChange(found);
  }

  #scan(): ReadonlyMap<string, UnitCgroup> {
    const found = new Map<string, UnitCgroup>();
    const slices = new Set<string>();
    if (this.#units.size > 0) this.#scanSlice('', 0, found, slices);
    for (const [slice, watcher] of this.#watchers)
      if (!slices.has(slice)) {
        watcher.close();
        this.#watchers.delete(slice);
      }
    return found;
  }

  #scanSlice(slice: string, depth: number, found: Map<string, UnitCgroup>, slices: Set<string>): void {
    slices.add(slice);
    // Before the folder is read: what comes after that is an event.
    this.#watch(slice);
    let names: readonly string[];
    try {
      names = readdirSync(join(this.#root, slice), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name);
    } catch {
      return;
    }
    for (const name of names) {
      const path = slice === '' ? name : `${slice}/${name}`;
      if (this.#units.has(name)) {
        const stats = statSync(join(this.#root, path), { throwIfNoEntry: false });
        if (stats !== undefined) found.set(name, { path, id: stats.ino });
      } else if (name.endsWith('.slice') && depth < MAX_DEPTH) this.#scanSlice(path, depth + 1, found, slices);
    }
  }

  #watch(slice: string): void {
    if (this.#watchers.has(slice)) return;
    try {
      const watcher = watch(join(this.#root, slice), { persistent: false }, () => {
        this.#soon ??= setImmediate(() => {
          this.#soon = undefined;
          this.#rescan();
        });
      });
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(slice);
      });
      this.#watchers.set(slice, watcher);
    } catch {
      // The slice has gone again, or there are no more watches: the timer looks.
    }
  }
}
