/** Structured logs: one JSON line an event on standard error. Messages are static; what varies goes into fields. */
import { fstatSync } from 'node:fs';
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

/** Syslog's priorities of pino's levels; anything else is `info`. */
const PRIORITIES: Readonly<Record<number, number>> = { 20: 7, 30: 6, 40: 4, 50: 3, 60: 2 };

/**
 * Whether a file descriptor leads to systemd's journal, which takes a line's priority from `<N>` before it.
 * @param stream `$JOURNAL_STREAM`: device and inode
 * @see https://www.freedesktop.org/software/systemd/man/latest/sd-daemon.html
 */
export function leadsToJournal(fd: number, stream: string | undefined): boolean {
  try {
    const { dev, ino } = fstatSync(fd);
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

type Destination = ReturnType<typeof destination>;

/** Puts the priority of each line before it. */
function withPriorities(to: Destination): { write(line: string): void; lastLevel: number } {
  // Pino tells the level of the line in `lastLevel` to streams that ask for it.
  return Object.assign(
    {
      lastLevel: 30,
      write(line: string): void {
        to.write(`<${PRIORITIES[this.lastLevel] ?? 6}>${line}`);
      },
    },
    { [Symbol.for('pino.metadata')]: true },
  );
}

/**
 * The process's logger.
 * @param to a file instead of standard error
 * @param journal whether lines carry systemd's priorities; default: when standard error leads to the journal
 */
export function createLog(
  level: LogLevel,
  to?: string,
  journal = to === undefined && leadsToJournal(2, process.env['JOURNAL_STREAM']),
): RootLog {
  const out = destination({ dest: to ?? 2, sync: true });
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
    journal ? withPriorities(out) : out,
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
