/** Structured logs: one JSON line an event on standard error. Messages are static; what varies goes into fields. */
import { destination, type Logger, pino } from 'pino';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'child'>;
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
export function createLog(level: LogLevel, file?: string): Log {
  return pino(
    {
      level,
      base: null,
      redact: SECRET_FIELDS,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination({ dest: file ?? 2, sync: true }),
  );
}

/** A logger that keeps nothing, for tests and offline commands. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}
