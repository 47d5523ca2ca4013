/** Resource files as a command line names them: files, and folders with all that is below them. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
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
/** What makes a folder a Helm chart, and where in it files are that are no YAML yet. https://helm.sh/docs/topics/charts/ */
const CHART = { file: 'Chart.yaml', templates: 'templates' };

/** What was found below some paths. */
export interface FoundFiles {
  readonly files: readonly ResourceFile[];
  /** Folders of Helm charts, of which the templates are left out. */
  readonly charts: readonly string[];
}

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

interface Walk {
  /** Files by the path that no link leads through. */
  readonly files: Map<string, string>;
  /** Links to files, which count where the file itself is not below the folder. */
  readonly links: string[];
  readonly charts: string[];
  /** Folders that were read, without links: one that is linked is read once, and a circle of links ends. */
  readonly folders: Set<string>;
}

/** Whether a link leads to a folder; one that leads nowhere is told when it is read. */
async function leadsToFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

async function walk(dir: string, found: Walk): Promise<void> {
  const realDir = await realpath(dir);
  if (found.folders.has(realDir)) return;
  found.folders.add(realDir);
  const entries = await readdir(dir, { withFileTypes: true });
  const isChart = entries.some(({ name }) => name === CHART.file);
  const linkedFolders: string[] = [];
  for (const entry of entries) {
    const path = join(dir, entry.name);
    if (entry.name.startsWith('.') || LEFT_OUT.has(entry.name)) continue;
    if (isChart && entry.name === CHART.templates) found.charts.push(dir);
    else if (entry.isDirectory()) await walk(path, found);
    else if (entry.isSymbolicLink() && (await leadsToFolder(path))) linkedFolders.push(path);
    else if (!RESOURCE_FILE.test(entry.name)) continue;
    else if (entry.isSymbolicLink()) found.links.push(path);
    else found.files.set(join(realDir, entry.name), path);
  }
  for (const path of linkedFolders) await walk(path, found);
}

async function filesBelow(
  dir: string,
): Promise<{ readonly names: readonly string[]; readonly charts: readonly string[] }> {
  const found: Walk = { files: new Map(), links: [], charts: [], folders: new Set() };
  await walk(dir, found);
  for (const link of found.links) {
    const real = await realpath(link).catch(() => link);
    if (!found.files.has(real)) found.files.set(real, link);
  }
  return { names: [...found.files.values()], charts: found.charts };
}

/** The fault of paths in which there is nothing to read. */
export function noResources(paths: readonly string[], why?: string): TrysailError {
  return new TrysailError(
    'RESOURCES_UNREADABLE',
    `there are no resources in ${paths.join(', ')}${why === undefined ? '' : `: ${why}`}`,
    { remedy: 'Name folders with files that end in .yaml, .yml or .json and have an apiVersion and a kind.' },
  );
}

/**
 * The files that `paths` name, each once, sorted by name: `*.yaml`, `*.yml` and `*.json` of a folder and the folders in
 * it, but for hidden ones, `node_modules`, the templates of Helm charts, and files without a word of a resource; a file
 * that is named itself whatever its name, unless it is empty; `-` is standard input. Links are followed.
 * @param leaveOut a file that is none of resources, such as the mesh configuration
 * @throws TrysailError `RESOURCES_UNREADABLE`, also where no file is left
 */
export async function readResourceFiles(paths: readonly string[], leaveOut?: string): Promise<FoundFiles> {
  const names = new Set<string>();
  const named = new Set<string>();
  const charts = new Set<string>();
  for (const path of paths) {
    try {
      if (path === '-' || !(await stat(path)).isDirectory()) {
        named.add(normalize(path));
        names.add(normalize(path));
        continue;
      }
      const below = await filesBelow(path);
      for (const name of below.names) names.add(normalize(name));
      for (const chart of below.charts) charts.add(normalize(chart));
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
      if (named.has(name) ? isEmpty(text) : !MAY_BE_RESOURCE.test(text)) continue;
      files.push(named.has(name) ? { file: name, text, named: true } : { file: name, text });
    } catch (error) {
      throw unreadable(name, error);
    }
  }
  if (files.length > 0) return { files, charts: [...charts] };
  const [chart] = charts;
  throw noResources(
    paths,
    chart === undefined ? undefined : `${chart} is a Helm chart, whose templates are to be filled in first`,
  );
}
