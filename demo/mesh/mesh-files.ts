/** The folder of YAML that all agents of the demo watch, in place of the one that each real host has. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../src/lib/atomic-file.ts';
import { MESH_CONFIG } from './bookshop-resources.ts';

export interface MeshFiles {
  readonly configFile: string;
  readonly resourceFolder: string;
  /** Creates or replaces `<name>.yaml` in one step. */
  write(name: string, yaml: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** Makes the folder and meshconfig.yaml below `folder`. */
export async function createMeshFiles(folder: string): Promise<MeshFiles> {
  const configFile = join(folder, 'meshconfig.yaml');
  const resourceFolder = join(folder, 'resources.d');
  await mkdir(resourceFolder, { recursive: true });
  await writeFile(configFile, MESH_CONFIG);
  return {
    configFile,
    resourceFolder,
    write: (name, yaml) => writeFileAtomic(join(resourceFolder, `${name}.yaml`), yaml, 0o644),
    remove: (name) => rm(join(resourceFolder, `${name}.yaml`), { force: true }),
  };
}
