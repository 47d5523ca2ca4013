/** What `trysail status` complains of, in the log as well: each complaint when it comes, and when it is gone. */
import type { Log } from '../lib/log.ts';
import { type Diagnostic, formatDiagnostic } from '../model/diagnostic.ts';

const INTERVAL_MS = 5000;
/** A folder full of faulty files must not fill the journal. */
const MAX_LINES = 20;

export interface DiagnosticLogOptions {
  /** All that is wrong now. */
  readonly read: () => readonly Diagnostic[];
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** Called when complaints have come or gone. */
  readonly onChange?: (diagnostics: readonly Diagnostic[]) => void;
  /** Default: 5,000. */
  readonly intervalMs?: number;
}

/** `2 errors, 1 warning`, or an empty text. */
export function summarise(diagnostics: readonly Diagnostic[]): string {
  return (['error', 'warning'] as const)
    .map((severity) => ({ severity, count: diagnostics.filter((d) => d.severity === severity).length }))
    .filter(({ count }) => count > 0)
    .map(({ severity, count }) => `${count} ${severity}${count === 1 ? '' : 's'}`)
    .join(', ');
}

export class DiagnosticLog {
  readonly #options: DiagnosticLogOptions;
  readonly #timer: NodeJS.Timeout;
  #known = new Set<string>();

  constructor(options: DiagnosticLogOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.review(), options.intervalMs ?? INTERVAL_MS).unref();
    this.review();
  }

  /** Tells what has changed since the last look. */
  review(): void {
    const { read, log, onChange } = this.#options;
    const told = read().filter(({ severity }) => severity !== 'info');
    const now = new Map(told.map((diagnostic) => [formatDiagnostic(diagnostic), diagnostic]));
    const come = [...now].filter(([text]) => !this.#known.has(text));
    const gone = [...this.#known].filter((text) => !now.has(text));
    if (come.length + gone.length === 0) return;
    for (const [text, { code, severity }] of come.slice(0, MAX_LINES))
      log[severity === 'error' ? 'error' : 'warn']({ code, diagnostic: text }, 'something is wrong');
    for (const diagnostic of gone.slice(0, MAX_LINES)) log.info({ diagnostic }, 'no longer wrong');
    const untold = Math.max(0, come.length - MAX_LINES) + Math.max(0, gone.length - MAX_LINES);
    if (untold > 0) log.warn({ untold }, 'further changes: see "trysail status"');
    this.#known = new Set(now.keys());
    onChange?.(told);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
