/** Why an Envoy did not start or did not stay: its last words turned into what, where, why and what to do. */
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
import { parseLogLine } from './log-line.ts';
import { describeOwner, portOwner } from './port-owner.ts';

export interface EnvoyFailure {
  /** Stable: `ENVOY_BINARY_MISSING`, `ENVOY_BINARY_UNUSABLE`, `ENVOY_PORT_IN_USE`, `ENVOY_ADDRESS_REFUSED`, `ENVOY_BOOTSTRAP_REFUSED`, `ENVOY_FILE_REFUSED`, `ENVOY_LAUNCHER_SILENT`, `ENVOY_EXITED`. */
  readonly code: string;
  /** What happened, where and why. */
  readonly message: string;
  readonly remedy: string;
  /** The last lines that Envoy wrote, oldest first. */
  readonly lastLines: readonly string[];
}

export interface Exit {
  /** Undefined where it is not known: an adopted Envoy is not our child. */
  readonly code?: number | undefined;
  readonly signal?: string | undefined;
}

/** How a process ended, in words. */
export function describeExit({ code, signal }: Exit): string {
  if (signal !== undefined) return `was ended by ${signal}`;
  if (code !== undefined) return `exited with status ${code}`;
  return 'is gone';
}

/** The failure of a program that could not be started at all. */
export function spawnFailure(binary: string, error: unknown): EnvoyFailure {
  if (error instanceof TrysailError)
    return { code: error.code, message: error.message, remedy: error.remedy ?? '', lastLines: [] };
  const code = errorCode(error);
  const ofBinary = error instanceof Error && 'path' in error && error.path === binary;
  const executing = error instanceof Error && 'syscall' in error && String(error.syscall).startsWith('spawn');
  if (code === 'ENOENT' && ofBinary && !executing)
    return {
      code: 'ENVOY_BINARY_MISSING',
      message: `there is no Envoy at ${binary}`,
      remedy: 'Install Envoy or set envoy.binary to its path.',
      lastLines: [],
    };
  if (executing || (ofBinary && code === 'EACCES'))
    return {
      code: 'ENVOY_BINARY_UNUSABLE',
      // It was there a moment ago: what is not found is the loader or interpreter that it names.
      message: `${binary} cannot be executed (${code === 'ENOENT' ? 'its loader is missing' : (code ?? errorMessage(error))})`,
      remedy: 'Give the file execute permission, or use the Envoy of this machine’s architecture.',
      lastLines: [],
    };
  return {
    code: 'ENVOY_FILE_REFUSED',
    message: `Envoy could not be started: ${errorMessage(error)}`,
    remedy: 'See whether the run folder can be written and has space left.',
    lastLines: [],
  };
}

/**
 * The failure of an Envoy that ended by itself.
 * @param lines what it wrote since its start, oldest first
 */
export function exitFailure(binary: string, exit: Exit, lines: readonly string[]): EnvoyFailure {
  const lastLines = lines.slice(-20);
  const text = lines.map((line) => parseLogLine(line).message).join('\n');

  const bind = /cannot bind '?\[?(?<address>[^'\]]+)\]?:(?<port>\d+)'?: (?<reason>[^\n\\]+)/.exec(text)?.groups;
  if (bind !== undefined) {
    const address = bind['address'] ?? '';
    const port = Number(bind['port']);
    const inUse = /in use/.test(bind['reason'] ?? '');
    const owner = inUse ? portOwner(address, port) : undefined;
    return {
      code: inUse ? 'ENVOY_PORT_IN_USE' : 'ENVOY_ADDRESS_REFUSED',
      message: `Envoy cannot listen on ${address}:${port}: ${bind['reason']}${owner === undefined ? '' : `, by ${describeOwner(owner)}`}`,
      remedy: inUse
        ? 'Stop that program or give the listener another port.'
        : 'Use an address of this host, and a port that this user may listen on.',
      lastLines,
    };
  }
  const refused = /error (?:initializing configuration|`)(?<why>[^\n]*)/.exec(text)?.groups?.['why'];
  if (refused !== undefined)
    return {
      code: 'ENVOY_BOOTSTRAP_REFUSED',
      message: `Envoy refuses its bootstrap: ${refused.trim().slice(0, 600)}`,
      remedy: `See whether ${binary} is a version that Trysail supports (trysail check).`,
      lastLines,
    };
  // A shell's words for what it cannot execute.
  if (exit.code === 126 || exit.code === 127)
    return {
      code: 'ENVOY_BINARY_UNUSABLE',
      message: `${binary} cannot be executed: ${text.trim().slice(0, 300)}`,
      remedy: 'Use the Envoy of this machine’s architecture, with its loader and interpreter.',
      lastLines,
    };
  const last = parseLogLine(lines.at(-1) ?? '').message;
  return {
    code: 'ENVOY_EXITED',
    message: `Envoy (${binary}) ${describeExit(exit)}${last === '' ? '' : `; its last words: ${last.slice(0, 300)}`}`,
    remedy: 'Read the last lines of Envoy’s log; Envoy is started again.',
    lastLines,
  };
}
