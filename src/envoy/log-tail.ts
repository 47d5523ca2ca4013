/**
 * Follows the file that Envoy writes its log to. A file and not a pipe, because the log's writer outlives its reader:
 * an agent that dies must not take Envoy's standard error with it, and the next agent reads on where it stopped.
 */
import { type FSWatcher, watch } from 'node:fs';
import { type FileHandle, open, readFile, writeFile } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';

const CHUNK_BYTES = 64 * 1024;
/** A line without an end is handed over in pieces of this size. */
const MAX_LINE_BYTES = 16 * 1024;
/** For file systems that do not report changes. */
const POLL_MS = 2000;

export interface LogTailOptions {
  readonly path: string;
  readonly onLine: (line: string) => void;
  /** The file is emptied when it has grown beyond this and all of it was read; default 4 MiB. */
  readonly maxBytes?: number;
}

/** Reads a growing file line by line. The position is kept beside the file (`<path>.position`). */
export class LogTail {
  readonly #options: LogTailOptions;
  #position = 0;
  #rest = '';
  #decoder = new StringDecoder('utf8');
  #file: FileHandle | undefined;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | undefined;

  constructor(options: LogTailOptions) {
    this.#options = options;
  }

  /** Starts where the last reader stopped; makes the file (0600) when it is missing. */
  async start(): Promise<void> {
    this.#file = await open(this.#options.path, 'a+', 0o600);
    const kept = Number(await readFile(`${this.#options.path}.position`, 'utf8').catch(() => '0'));
    const { size } = await this.#file.stat();
    this.#position = Number.isInteger(kept) && kept >= 0 && kept <= size ? kept : 0;
    try {
      this.#watcher = watch(this.#options.path, () => void this.read());
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      // No inotify left on this machine: the timer alone does it, later.
    }
    this.#timer = setInterval(() => void this.read(), POLL_MS);
    this.#timer.unref();
    this.#watcher?.unref();
    await this.read();
  }

  /** Hands over what is left and starts anew with the file that is at the path now. */
  async reopen(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Hands over everything that the file holds now. Never rejects: a log that cannot be read stops nothing. */
  async read(): Promise<void> {
    this.#waiting ??= this.#readAfter(this.#reading);
    await this.#waiting;
  }

  /** At most one read is in progress and one more waits: the latter sees all that came meanwhile. */
  async #readAfter(current: Promise<void>): Promise<void> {
    await current;
    this.#waiting = undefined;
    this.#reading = this.#drain().catch(() => undefined);
    await this.#reading;
  }

  /** Hands over what is left and lets go of the file. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#watcher?.close();
    await this.read();
    if (this.#rest !== '') this.#options.onLine(this.#rest);
    this.#rest = '';
    await this.#file?.close();
    this.#file = undefined;
  }

  async #drain(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    const before = this.#position;
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    const { size } = await file.stat();
    if (size < this.#position) this.#position = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, this.#position);
      if (bytesRead === 0) break;
      this.#position += bytesRead;
      this.#hand(this.#decoder.write(buffer.subarray(0, bytesRead)));
    }
    if (this.#position === before) return;
    const { maxBytes = 4 * 1024 * 1024 } = this.#options;
    if (this.#position > maxBytes && (await file.stat()).size === this.#position) {
      // The writer appends, so it goes on at the new end.
      await file.truncate(0);
      this.#position = 0;
    }
    await writeFile(`${this.#options.path}.position`, String(this.#position), { mode: 0o600 });
  }

  #hand(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > MAX_LINE_BYTES) {
      lines.push(this.#rest);
      this.#rest = '';
    }
    for (const line of lines) if (line !== '') this.#options.onLine(line);
  }
}
