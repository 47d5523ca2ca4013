/** What somebody has done on this host that suspends a policy: a line of JSON in the state folder, and one in the journal. */
import { constants } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { runTool } from '../platform/vm/host-tool.ts';

export interface AuditEntry {
  /** Such as `bypass`. */
  readonly action: string;
  readonly [detail: string]: unknown;
}

/** Who asks, as far as sudo and the login say. */
async function actor(env: NodeJS.ProcessEnv = process.env): Promise<Readonly<Record<string, string | number>>> {
  const login = Number(await readFile('/proc/self/loginuid', 'utf8').catch(() => ''));
  const { username, uid } = userInfo();
  const sudo = env['SUDO_USER'];
  return {
    user: username,
    uid,
    ...(sudo === undefined ? {} : { sudoUser: sudo }),
    // 2^32 - 1: nobody has logged in, as for a service.
    ...(Number.isInteger(login) && login > 0 && login < 2 ** 32 - 1 ? { loginUid: login } : {}),
    ...(env['SSH_CONNECTION'] === undefined ? {} : { from: env['SSH_CONNECTION'].split(' ')[0] ?? '' }),
  };
}

/** The folder is the agent's, and root writes there: a link that somebody has put in the file's place is not followed. */
async function append(file: string, line: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
  const log = await open(file, O_APPEND | O_CREAT | O_NOFOLLOW | O_WRONLY, 0o600);
  try {
    await log.writeFile(`${line}\n`);
  } finally {
    await log.close();
  }
}

/** Appends an entry; answers what could not be written, for the one who asks to know: it does not stop them. */
export async function audit(file: string, entry: AuditEntry): Promise<readonly string[]> {
  const line = JSON.stringify({ time: new Date().toISOString(), ...entry, by: await actor() });
  const outcomes = await Promise.allSettled([
    append(file, line),
    runTool('logger', '-t', 'trysail', '-p', 'auth.notice', '--', line),
  ]);
  const places = [file, 'the journal'];
  return outcomes.flatMap((outcome, i) => (outcome.status === 'rejected' ? [places[i] ?? ''] : []));
}
