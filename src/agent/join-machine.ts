/** What joining and leaving do to the machine beside files: programs, users, systemd. A seam for tests. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';

export interface ProgramResult {
  /** 127: there is no such program. */
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface JoinMachine {
  readonly uid: number;
  /** Whether systemd is this machine's init. https://www.freedesktop.org/software/systemd/man/sd_booted.html */
  readonly hasSystemd: boolean;
  /** Runs a program without a shell, at most `timeoutMs`; never rejects. */
  run(program: string, args: readonly string[], timeoutMs?: number): Promise<ProgramResult>;
}

const DEFAULT_TIMEOUT_MS = 120_000;
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

/** The machine that this process runs on. */
export function realMachine(): JoinMachine {
  return {
    uid: process.getuid?.() ?? 0,
    hasSystemd: existsSync('/run/systemd/system'),
    run: async (program, args, timeoutMs = DEFAULT_TIMEOUT_MS) =>
      new Promise((resolve) => {
        const options = { timeout: timeoutMs, maxBuffer: MAX_OUTPUT_BYTES, encoding: 'utf8' } as const;
        execFile(program, [...args], options, (error, out, err) => {
          if (error === null) resolve({ code: 0, out, err });
          else if (error.code === 'ENOENT') resolve({ code: 127, out: '', err: `there is no program ${program}` });
          else resolve({ code: typeof error.code === 'number' ? error.code : 1, out, err: err || error.message });
        });
      }),
  };
}

/** Numbers of a user of this machine and its group; undefined: there is no such user. */
export async function account(
  machine: JoinMachine,
  name: string,
): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  const { code, out } = await machine.run('getent', ['passwd', name], 10_000);
  const [, , uid, gid] = out.split(':');
  return code === 0 && uid !== undefined && gid !== undefined ? { uid: Number(uid), gid: Number(gid) } : undefined;
}

/** Whether systemd has a unit of this name, running or not. */
export async function hasUnit(machine: JoinMachine, unit: string): Promise<boolean> {
  if (!machine.hasSystemd) return false;
  return (await machine.run('systemctl', ['cat', '--no-pager', unit], 10_000)).code === 0;
}

/** Whether the unit runs, or is about to. */
export async function isActive(machine: JoinMachine, unit: string): Promise<boolean> {
  const { out } = await machine.run('systemctl', ['is-active', unit], 10_000);
  return /^(?:active|activating|reloading|deactivating)$/.test(out.trim());
}
