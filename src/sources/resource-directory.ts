/** A watched directory of resource files: `*.yaml`, `*.yml`, `*.json`, not those in folders below it. */
import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import { loadLastGood, saveLastGood } from './last-good-files.ts';
import type { ReadingState, ResourceFile } from './resource-reader.ts';
import { EMPTY_RESOURCES, type ResourceSet } from './resource-set.ts';

/** Waited after the last event, in milliseconds: an editor's or a copy's writes come in bursts. */
const SETTLE_MS = 50;
/** A burst is read after this long even if it goes on, in milliseconds. */
const MAX_SETTLE_MS = 1000;
/** How often the directory is read without any event, in milliseconds: events get lost, and some file systems send none. */
const RESCAN_MS = 10_000;
/** Larger files are refused, in bytes. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Of all files together, in bytes; those that do not fit, in the order of their names, are refused. */
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_FILES = 10_000;
const RESOURCE_FILE = /^[^.].*\.(ya?ml|json)$/;

/** Why a file of so many bytes is not read after `before` bytes of others; undefined: it is. */
function sizeProblem(size: number, before: number): string | undefined {
  if (size > MAX_FILE_BYTES) return `has ${size} bytes, and ${MAX_FILE_BYTES} are the most`;
  if (before + size <= MAX_BYTES) return undefined;
  return `has ${size} bytes, with which the files of the folder up to it have more than ${MAX_BYTES}`;
}

export interface ResourceDirectoryOptions {
  readonly dir: string;
  readonly log: Log;
  /** Called after a change of resources or diagnostics, not for the first reading. */
  readonly onChange: (resources: ResourceSet) => void;
  readonly rescanMs?: number;
  /** Where to keep the last good version of each file over restarts; undefined keeps none. */
  readonly lastGoodFile?: string;
}

interface KnownFile {
  /** Size, time and inode: what tells that a file need not be read again. */
  readonly stamp: string;
  readonly file: ResourceFile;
}

/** Keeps a `ResourceSet` in step with a directory. A directory that is missing is picked up when it appears. */
export class ResourceDirectory {
  readonly #options: ResourceDirectoryOptions;
  #files = new Map<string, KnownFile>();
  /** By path, the last version of each file that had no errors. */
  #good = new Map<string, ResourceFile>();
  #state: ReadingState | undefined;
  #resources: ResourceSet = EMPTY_RESOURCES;
  #watcher: FSWatcher | undefined;
  /** Of the directory that is watched: a watch stays with a directory that was moved away. */
  #inode: number | undefined;
  #unwatchable = false;
  /** Why the last good versions are not on disk. */
  #unsaved: string | undefined;
  #rescan: NodeJS.Timeout | undefined;
  #settle: NodeJS.Timeout | undefined;
  #burstSince: number | undefined;
  #reading: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: ResourceDirectoryOptions) {
    this.#options = options;
  }

  /** What holds now; empty before `start`. */
  get resources(): ResourceSet {
    return this.#resources;
  }

  /** Reads the directory once, then goes on watching it. Never rejects: what fails is in the diagnostics. */
  async start(): Promise<ResourceSet> {
    const { lastGoodFile } = this.#options;
    if (lastGoodFile !== undefined) {
      const files = await loadLastGood(lastGoodFile);
      this.#good = new Map(files.map((file) => [file.file, file]));
      this.#state = await this.#readingOf(files);
    }
    await this.#read(false);
    this.#rescan = setInterval(() => this.#refresh(), this.#options.rescanMs ?? RESCAN_MS);
    this.#rescan.unref();
    return this.#resources;
  }

  /** Reads now rather than at the next event (SIGHUP). Resolves when that is done. */
  async reload(): Promise<void> {
    this.#refresh();
    await this.#reading;
    // One that had begun before may have been followed by another.
    await this.#reading;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watcher?.close();
    clearInterval(this.#rescan);
    clearTimeout(this.#settle);
    await this.#reading;
  }

  #openWatcher(): void {
    if (this.#watcher !== undefined || this.#stopped) return;
    try {
      const watcher = watch(this.#options.dir, { persistent: false }, () => this.#onEvent());
      watcher.on('error', (error) => {
        this.#options.log.warn({ dir: this.#options.dir, error: errorMessage(error) }, 'watching resources failed');
        this.#closeWatcher();
      });
      this.#watcher = watcher;
    } catch (error) {
      // What is missing is in the diagnostics; a machine that is out of watches is slower, and says so once.
      if (errorCode(error) === 'ENOENT' || this.#unwatchable) return;
      this.#unwatchable = true;
      const everyMs = this.#options.rescanMs ?? RESCAN_MS;
      this.#options.log.warn(
        { dir: this.#options.dir, everyMs, error: errorMessage(error) },
        'resources are only polled',
      );
    }
  }

  #closeWatcher(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #onEvent(): void {
    if (this.#stopped) return;
    const now = performance.now();
    this.#burstSince ??= now;
    if (now - this.#burstSince > MAX_SETTLE_MS) return;
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      this.#burstSince = undefined;
      this.#refresh();
    }, SETTLE_MS);
  }

  #refresh(): void {
    if (this.#stopped) return;
    if (this.#reading !== undefined) {
      this.#again = true;
      return;
    }
    this.#reading = this.#read(true).finally(() => {
      this.#reading = undefined;
      if (this.#again) {
        this.#again = false;
        this.#refresh();
      }
    });
  }

  async #read(notify: boolean): Promise<void> {
    const problems: Diagnostic[] = [];
    try {
      const { ino } = await stat(this.#options.dir);
      if (ino !== this.#inode) this.#closeWatcher();
      this.#inode = ino;
      // Before the files are read, so that no change falls between.
      this.#openWatcher();
      await this.#readFiles(problems);
    } catch (error) {
      this.#closeWatcher();
      if (this.#files.size === 0)
        this.#files = new Map([...this.#good].map(([path, file]) => [path, { stamp: '', file }]));
      problems.push(this.#directoryProblem(error));
    }
    this.#state = await this.#readingOf([...this.#files.values()].map(({ file }) => file));
    const set = this.#state?.set ?? EMPTY_RESOURCES;
    await this.#keepGood(set);
    problems.push(...this.#unsavedProblem());
    const diagnostics = [...problems, ...set.diagnostics].sort(compareDiagnostics);
    const before = this.#resources;
    const sameDiagnostics = JSON.stringify(diagnostics) === JSON.stringify(before.diagnostics);
    const next = { ...set, diagnostics: sameDiagnostics ? before.diagnostics : diagnostics };
    const changed = (Object.keys(next) as (keyof ResourceSet)[]).some((list) => next[list] !== before[list]);
    if (!changed) return;
    this.#resources = next;
    if (notify && !this.#stopped) this.#options.onChange(next);
  }

  /** Undefined while there is nothing to read: the kinds of the API take memory that a host without files need not spend. */
  async #readingOf(files: readonly ResourceFile[]): Promise<ReadingState | undefined> {
    if (this.#state === undefined && files.length === 0) return undefined;
    const { readResources } = await import('./resource-reader.ts');
    return readResources(this.#state, files);
  }

  async #keepGood(set: ResourceSet): Promise<void> {
    const { lastGoodFile, log } = this.#options;
    if (lastGoodFile === undefined) return;
    const faulty = new Set(
      set.diagnostics.flatMap(({ severity, source }) => (severity === 'error' ? source?.file : [])),
    );
    const good = new Map<string, ResourceFile>();
    for (const [path, { file }] of this.#files) {
      const keep = faulty.has(path) ? this.#good.get(path) : file;
      if (keep !== undefined) good.set(path, keep);
    }
    const same =
      good.size === this.#good.size && [...good].every(([path, { text }]) => this.#good.get(path)?.text === text);
    this.#good = good;
    if (same && this.#unsaved === undefined) return;
    try {
      await saveLastGood(lastGoodFile, [...good.values()]);
      this.#unsaved = undefined;
    } catch (error) {
      const reason = errorMessage(error);
      if (reason !== this.#unsaved) log.error({ file: lastGoodFile, error: reason }, 'last good resources not saved');
      this.#unsaved = reason;
    }
  }

  #unsavedProblem(): readonly Diagnostic[] {
    const { lastGoodFile } = this.#options;
    if (this.#unsaved === undefined || lastGoodFile === undefined) return [];
    return [
      {
        code: 'TRY0102',
        severity: 'warning',
        object: lastGoodFile,
        message: `the last good resources cannot be saved: ${this.#unsaved}`,
        remedy:
          'Free space in the state folder, or make it writable for the agent: they are needed after a restart with a broken file.',
      },
    ];
  }

  async #readFiles(problems: Diagnostic[]): Promise<void> {
    const { dir } = this.#options;
    const names = (await readdir(dir)).filter((name) => RESOURCE_FILE.test(name)).sort();
    if (names.length > MAX_FILES)
      problems.push(this.#problem(dir, `has ${names.length} files; the first ${MAX_FILES} are read`, 'Join some.'));
    const files = new Map<string, KnownFile>();
    let bytes = 0;
    for (const name of names.slice(0, MAX_FILES)) {
      const path = join(dir, name);
      const before = this.#files.get(path);
      const refuse = (message: string, remedy: string): void => {
        if (before !== undefined) files.set(path, { ...before, stamp: '' });
        const held = before === undefined ? '' : '; what was read of it before stays in force';
        problems.push(this.#problem(path, `${message}${held}`, remedy));
      };
      try {
        const info = await stat(path);
        if (!info.isFile()) continue;
        const tooLarge = sizeProblem(info.size, bytes);
        if (tooLarge !== undefined) {
          refuse(tooLarge, 'Delete what is not needed, or publish it for the fleet (docs/fleet.md).');
          continue;
        }
        bytes += info.size;
        const stamp = `${info.size} ${info.mtimeMs} ${info.ctimeMs} ${info.ino}`;
        if (before?.stamp === stamp) files.set(path, before);
        else files.set(path, { stamp, file: { file: path, text: await readFile(path, 'utf8') } });
      } catch (error) {
        // Removed since it was listed.
        if (errorCode(error) === 'ENOENT') continue;
        refuse(`cannot be read: ${errorMessage(error)}`, 'Make it readable for the user of the agent.');
      }
    }
    this.#files = files;
  }

  #directoryProblem(error: unknown): Diagnostic {
    const { dir } = this.#options;
    const held = this.#files.size > 0 ? '; the resources read before stay in force' : '';
    return errorCode(error) === 'ENOENT'
      ? this.#problem(dir, `the directory does not exist${held}`, 'Create it, or correct mesh.resources in agent.yaml.')
      : this.#problem(dir, `cannot be listed: ${errorMessage(error)}${held}`, 'Make it readable for the agent.');
  }

  #problem(file: string, message: string, remedy: string): Diagnostic {
    return { code: 'TRY0006', severity: 'warning', source: { file, line: 1 }, message, remedy };
  }
}
