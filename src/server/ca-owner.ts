/** Whose files a CA's folder holds: the server's user has to read and write what an administrator makes as root. */
import { stat } from 'node:fs/promises';

/**
 * As root: goes on as the owner of the folder, so that everything made from now on is the owner's. For commands, which
 * end soon. A folder that is not there is left for others to complain of.
 */
export async function becomeOwner(dir: string): Promise<void> {
  if (process.geteuid?.() !== 0) return;
  const owner = await stat(dir).catch(() => undefined);
  if (owner === undefined || owner.uid === 0) return;
  process.setgroups?.([owner.gid]);
  process.setegid?.(owner.gid);
  process.seteuid?.(owner.uid);
}
