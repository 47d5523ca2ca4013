/** Files that are either the old or the new whole, also after a crash: written beside, synced, renamed. */
import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces `path` by `content` in one step. `mode` is the new file's permission, 0600 unless said otherwise. */
export async function writeFileAtomic(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  // What a process of this number has left. Where others may write too it could be a link, which nobody must follow.
  await unlink(temporary).catch(() => undefined);
  const file = await open(temporary, 'wx', mode);
  try {
    await file.chmod(mode);
    await file.writeFile(content);
    await file.sync();
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await file.close().catch(() => undefined);
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
