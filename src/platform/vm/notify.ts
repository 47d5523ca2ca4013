/**
 * Telling systemd how the service is, through the `systemd-notify` program: Node cannot send Unix datagrams. The unit
 * needs `Type=notify` (or `notify-reload`) and `NotifyAccess=all`, because the sender is a child of the service.
 * https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
 */
import { execFile } from 'node:child_process';

const PROGRAM = 'systemd-notify';
/** It waits until systemd has read the message. */
const TIMEOUT_MS = 5000;

/** Every call resolves to whether systemd was told; none rejects. All are without effect when systemd does not listen. */
export interface Notifier {
  /** Start or reload is complete. */
  ready(status?: string): Promise<boolean>;
  reloading(): Promise<boolean>;
  stopping(status?: string): Promise<boolean>;
  /** The line that `systemctl status` shows. */
  status(text: string): Promise<boolean>;
  /** The service is alive. */
  watchdog(): Promise<boolean>;
  /** How often `watchdog` has to be called, in milliseconds: half of what the unit allows. Undefined: never. */
  readonly watchdogIntervalMs: number | undefined;
}

async function send(env: NodeJS.ProcessEnv, assignments: readonly string[]): Promise<boolean> {
  if (env['NOTIFY_SOCKET'] === undefined || env['NOTIFY_SOCKET'] === '') return false;
  return new Promise((resolve) => {
    execFile(PROGRAM, [`--pid=${process.pid}`, ...assignments], { env, timeout: TIMEOUT_MS }, (error) =>
      resolve(error === null),
    );
  });
}

/** One assignment a line is systemd's format. */
const oneLine = (text: string): string => `STATUS=${text.replaceAll(/[\r\n]+/g, ' ')}`;

function watchdogInterval(env: NodeJS.ProcessEnv): number | undefined {
  const limitUs = Number(env['WATCHDOG_USEC']);
  const pid = env['WATCHDOG_PID'];
  if (!Number.isFinite(limitUs) || limitUs <= 0 || (pid !== undefined && Number(pid) !== process.pid)) return undefined;
  return limitUs / 2000;
}

/** @param env where systemd's variables are; default: the process's own */
export function createNotifier(env: NodeJS.ProcessEnv = process.env): Notifier {
  return {
    ready: async (status) => send(env, ['READY=1', ...(status === undefined ? [] : [oneLine(status)])]),
    // Since systemd 253 the time must come with it; older ones ignore it.
    reloading: async () => send(env, ['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`]),
    stopping: async (status) => send(env, ['STOPPING=1', ...(status === undefined ? [] : [oneLine(status)])]),
    status: async (text) => send(env, [oneLine(text)]),
    watchdog: async () => send(env, ['WATCHDOG=1']),
    watchdogIntervalMs: watchdogInterval(env),
  };
}
