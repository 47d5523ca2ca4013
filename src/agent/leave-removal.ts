/** Removing files and folders of ours, and nothing that could be anybody else's. */
import { readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, TrysailError } from '../lib/errors.ts';

/** A wrong `paths.state` must not cost a machine: folders as high as this are never emptied. */
const LEAST_DEPTH = 2;
/** Folders that only somebody who made a mistake names, or anything in those of the system. */
const NEVER = [
  /^\/(?:bin|boot|dev|etc|lib\w*|proc|sbin|sys|usr)(?:\/|$)/,
  /^\/home(?:\/[^/]+)?\/?$/,
  /^\/(?:var|run|srv|opt|tmp|mnt|media)(?:\/(?:lib|log|cache|tmp|lock|user|systemd|spool))?\/?$/,
];

/** Whether there is something at the path that this user may see. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Removes a folder with all that is in it; the folder itself stays where it cannot be removed (a mount point).
 * @throws TrysailError LEAVE_REFUSED for a folder that cannot be ours alone
 */
export async function removeFolder(path: string): Promise<void> {
  const depth = path.split('/').filter((part) => part !== '').length;
  if (depth < LEAST_DEPTH || NEVER.some((never) => never.test(path))) {
    throw new TrysailError('LEAVE_REFUSED', `${path} is not emptied: it does not look like a folder of Trysail's own`, {
      remedy: 'Remove by hand what Trysail left there.',
    });
  }
  const names = await readdir(path).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) await rm(join(path, name), { recursive: true, force: true });
  await removeIfEmpty(path);
}

/** Removes a folder that holds nothing any more. */
async function removeIfEmpty(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'EBUSY', 'EACCES', 'EPERM'].includes(errorCode(error) ?? '')) throw error;
  }
}

/** Whether there is nothing in the folder, or no such folder. */
export async function isEmpty(path: string): Promise<boolean> {
  return readdir(path).then(
    (names) => names.length === 0,
    (error: unknown) => errorCode(error) === 'ENOENT',
  );
}
