/** The resource files of a host, read once: for commands, which follow no changes. */
import { silentLog } from '../lib/log.ts';
import { ResourceDirectory } from '../sources/resource-directory.ts';
import type { ResourceSet } from '../sources/resource-set.ts';

/** What is in the folder now, with its diagnostics; nothing where there is no folder. */
export async function readResources(dir: string): Promise<ResourceSet> {
  const directory = new ResourceDirectory({ dir, log: silentLog(), onChange: () => undefined });
  try {
    return await directory.start();
  } finally {
    await directory.stop();
  }
}
