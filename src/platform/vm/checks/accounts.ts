/** The users of this host, as /etc/passwd has them, or the name service where that does not. */
import type { HostIo } from './host-check.ts';

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** The accounts in a text of the form of passwd(5). */
function parseAccounts(text: string): readonly Account[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , uid, gid] = line.split(':');
    return uid === undefined || gid === undefined || name === '' ? [] : [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

/** The account of a name or uid; undefined: there is none. */
export async function accountOf(io: HostIo, user: string | number): Promise<Account | undefined> {
  const wanted = (each: Account): boolean => each.name === user || each.uid === Number(user);
  const local = parseAccounts((await io.read('/etc/passwd')) ?? '').find(wanted);
  if (local !== undefined) return local;
  // Accounts of a directory are not in the file.
  const asked = await io.run('getent', ['passwd', String(user)]);
  return asked?.code === 0 ? parseAccounts(asked.stdout).find(wanted) : undefined;
}

/** The ids of all groups that a user is in, by /etc/group and the account itself. */
export function groupsOf({ name, gid }: Account, groupFile: string): ReadonlySet<number> {
  const named = groupFile.split('\n').flatMap((line) => {
    const [, , id, members = ''] = line.split(':');
    return id !== undefined && members.split(',').includes(name) ? [Number(id)] : [];
  });
  return new Set([gid, ...named]);
}
