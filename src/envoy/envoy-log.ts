/** Envoy's log in ours, and its last lines for when it ends. */
import type { Log } from '../lib/log.ts';
import { parseLogLine } from './log-line.ts';
import { LogTail } from './log-tail.ts';

const KEPT_LINES = 50;

/** Follows one Envoy's log file; `LogTail` says how. */
export class EnvoyLog {
  readonly #tail: LogTail;
  #lines: string[] = [];

  constructor(path: string, log: Log) {
    const onLine = (text: string): void => {
      this.#lines.push(text);
      if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      const { level, component, message } = parseLogLine(text);
      log[level]({ component, line: message }, 'Envoy says');
    };
    this.#tail = new LogTail({ path, onLine });
  }

  async start(): Promise<void> {
    await this.#tail.start();
  }

  async stop(): Promise<void> {
    await this.#tail.stop();
  }

  /** A new Envoy begins: its lines are its own. Somebody may have taken the old file away. */
  async next(): Promise<void> {
    await this.#tail.reopen();
    this.#lines = [];
  }

  /** What the Envoy of now has written, oldest first, at most the last 50 lines. */
  async lastLines(): Promise<readonly string[]> {
    await this.#tail.read();
    return this.#lines;
  }
}
