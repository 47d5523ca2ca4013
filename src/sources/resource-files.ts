/** Resource files as a command line names them: files, and folders with all that is below them. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { ResourceFile } from './resource-reader.ts';

const RESOURCE_FILE = /^[^.].*\.(ya?ml|json)$/;
/** Larger files are refused, in bytes. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_FILES = 10_000;
/** What a resource has, and other YAML of a repository (agent.yaml, workflows) has not. */
const MAY_BE_RESOURCE = /\bapiVersion\b|\bkind["']?\s*:/;
/** Folders that hold no configuration of a mesh. */
const LEFT_OUT = new Set(['node_modules']);

function unreadable(path: string, error: unknown): TrysailError {
  return new TrysailError('RESOURCES_UNREADABLE', `${path} cannot be read: ${errorMessage(error)}`, {
    remedy: 'Name files or folders of YAML by -f.',
  });
}

/** Whether it has comments, blank lines and markers of documents alone. */
function isEmpty(text: string): boolean {
  return text.split('\n').every((line) => {
    const bare = line.trim();
    return bare === '' || bare.startsWith('#') || bare === '---' || bare === '...';
  });
}

async function standardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString('utf8');
}

async function filesBelow(dir: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.name.startsWith('.') || LEFT_OUT.has(entry.name)) continue;
    if (entry.isDirectory()) found.push(...(await filesBelow(path)));
    else if (RESOURCE_FILE.test(entry.name)) found.push(path);
  }
  return found;
}

/**
 * The files that `paths` name, each once, sorted by name: `*.yaml`, `*.yml` and `*.json` of a folder and the folders in
 * it, but for hidden ones, `node_modules`, and files without a word of a resource; a file that is named itself whatever
 * its name, unless it is empty; `-` is standard input.
 * @param leaveOut a file that is none of resources, such as the mesh configuration
 * @throws TrysailError `RESOURCES_UNREADABLE`, also where no file is left
 */
export async function readResourceFiles(paths: readonly string[], leaveOut?: string): Promise<readonly ResourceFile[]> {
  const names = new Set<string>();
  const named = new Set<string>();
  for (const path of paths) {
    try {
      const isFolder = path !== '-' && (await stat(path)).isDirectory();
      if (!isFolder) named.add(normalize(path));
      for (const name of isFolder ? await filesBelow(path) : [path]) names.add(normalize(name));
    } catch (error) {
      throw unreadable(path, error);
    }
  }
  if (leaveOut !== undefined) names.delete(normalize(leaveOut));
  if (names.size > MAX_FILES) throw unreadable(paths.join(', '), new Error(`more than ${MAX_FILES} files`));
  const files: ResourceFile[] = [];
  for (const name of [...names].toSorted()) {
    try {
      if (name !== '-' && (await stat(name)).size > MAX_FILE_BYTES)
        throw new Error(`it is larger than ${MAX_FILE_BYTES} bytes`);
      const text = await (name === '-' ? standardInput() : readFile(name, 'utf8'));
      if (named.has(name) ? !isEmpty(text) : MAY_BE_RESOURCE.test(text)) files.push({ file: name, text });
    } catch (error) {
      throw unreadable(name, error);
    }
  }
  if (files.length > 0) return files;
  throw new TrysailError('RESOURCES_UNREADABLE', `there are no resources in ${paths.join(', ')}`, {
    remedy: 'Name folders with files that end in .yaml, .yml or .json and have an apiVersion and a kind.',
  });
}
