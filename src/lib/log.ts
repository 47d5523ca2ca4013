/** Structured logs: one JSON line an event on standard error. Messages are static; what varies goes into fields. */
import { destination, type Logger, pino } from 'pino';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'child'>;

/** The logger of a process: what it writes can be changed while it runs, for its children too. */
export interface RootLog extends Log {
  setLevel(level: LogLevel): void;
}
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** The fields that can never be written, whoever logs them. */
const SECRET_FIELDS = [
  'token',
  'key',
  'privateKey',
  'privateKeyPem',
  'secret',
  'authorization',
  '*.token',
  '*.privateKeyPem',
];

/** The process's logger. `file` replaces standard error. */
export function createLog(level: LogLevel, file?: string): RootLog {
  // A child of pino keeps the level that it was made with.
  const children: Logger[] = [];
  const log = pino(
    {
      onChild: (child) => void children.push(child),
      level,
      base: null,
      redact: SECRET_FIELDS,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination({ dest: file ?? 2, sync: true }),
  );
  const setLevel = (next: LogLevel): void => {
    for (const one of [log, ...children]) one.level = next;
  };
  return Object.assign(log, { setLevel });
}

/** A logger that keeps nothing, for tests and offline commands. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}
