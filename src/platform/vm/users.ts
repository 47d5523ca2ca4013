/** Users of this host by name. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const TIMEOUT_MS = 2000;
const NAME = /^[A-Za-z_][\w.@-]*\$?$/;

/** The id in the text of a passwd file. */
export function uidIn(passwd: string, name: string): number | undefined {
  const line = passwd.split('\n').find((entry) => entry.startsWith(`${name}:`));
  const uid = Number(line?.split(':')[2]);
  return line !== undefined && Number.isInteger(uid) ? uid : undefined;
}

/** The id of a user by name or number; undefined: nobody has that name, in /etc/passwd or a directory service. */
export async function userId(user: string): Promise<number | undefined> {
  if (/^\d{1,10}$/.test(user)) return Number(user);
  if (!NAME.test(user)) return undefined;
  const local = uidIn(await readFile('/etc/passwd', 'utf8').catch(() => ''), user);
  if (local !== undefined) return local;
  return run('id', ['-u', '--', user], { timeout: TIMEOUT_MS }).then(
    ({ stdout }) => Number(stdout),
    () => undefined,
  );
}
