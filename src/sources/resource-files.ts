/** Resource files as a command line names them: files, and folders with all that is below them. */
import { createReadStream } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
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

/** As diagnostics name it. */
const STANDARD_INPUT = 'standard input';

function unreadable(path: string, error: unknown): TrysailError {
  const why =
    errorCode(error) === 'ENOENT'
      ? `there is no file or folder ${path}`
      : `${path} cannot be read: ${errorMessage(error)}`;
  return new TrysailError('RESOURCES_UNREADABLE', why, { remedy: 'Name files or folders of YAML by -f.' });
}

/** Whether it has comments, blank lines and markers of documents alone. */
function isEmpty(text: string): boolean {
  return text.split('\n').every((line) => {
    const bare = line.trim();
    return bare === '' || bare.startsWith('#') || bare === '---' || bare === '...';
  });
}

const TOO_LARGE = `it is larger than ${MAX_FILE_BYTES} bytes`;

/** The text of a pipe or device, which does not say how much is to come. */
async function textOf(stream: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const part = Buffer.from(chunk as Uint8Array);
    bytes += part.length;
    if (bytes > MAX_FILE_BYTES) throw new Error(TOO_LARGE);
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function read(name: string): Promise<string> {
  if (name === '-') return await textOf(process.stdin);
  const info = await stat(name);
  if (!info.isFile()) return await textOf(createReadStream(name));
  if (info.size > MAX_FILE_BYTES) throw new Error(TOO_LARGE);
  return await readFile(name, 'utf8');
}

interface Walk {
  /** Files by the path that no link leads through; without pipes and devices, of which reading may never end. */
  readonly files: Map<string, string>;
  /** Links to files, which count where the file itself is not below the folder. */
  readonly links: string[];
  readonly charts: string[];
  /** Folders that were read, without links: one that is linked is read once, and a circle of links ends. */
  readonly folders: Set<string>;
}

/** What a link leads to. One that leads nowhere counts as a file, and is told when it is read. */
async function target(path: string): Promise<'folder' | 'file' | 'other'> {
  try {
    const info = await stat(path);
    if (info.isDirectory()) return 'folder';
    return info.isFile() ? 'file' : 'other';
  } catch {
    return 'file';
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
    else if (entry.isSymbolicLink()) {
      const to = await target(path);
      if (to === 'folder') linkedFolders.push(path);
      else if (to === 'file' && RESOURCE_FILE.test(entry.name)) found.links.push(path);
    } else if (entry.isFile() && RESOURCE_FILE.test(entry.name)) found.files.set(join(realDir, entry.name), path);
  }
  for (const path of linkedFolders) await walk(path, found);
}

interface NamedFiles {
  /** Files as they are told, by the path that no link leads through: each once. */
  readonly files: ReadonlyMap<string, string>;
  /** Of these paths, those that were named themselves. */
  readonly named: ReadonlySet<string>;
  readonly charts: readonly string[];
}

async function filesOf(paths: readonly string[]): Promise<NamedFiles> {
  const files = new Map<string, string>();
  const named = new Set<string>();
  const below: Walk = { files, links: [], charts: [], folders: new Set() };
  for (const path of paths) {
    try {
      if (path !== '-' && (await stat(path)).isDirectory()) {
        await walk(normalize(path), below);
        continue;
      }
      // A pipe of the shell (`-f <(…)`) has no path of its own.
      const real = path === '-' ? path : await realpath(path).catch(() => path);
      files.set(real, normalize(path));
      named.add(real);
    } catch (error) {
      throw unreadable(path, error);
    }
  }
  for (const link of below.links) {
    const real = await realpath(link).catch(() => link);
    if (!files.has(real)) files.set(real, link);
  }
  return { files, named, charts: below.charts.map((chart) => normalize(chart)) };
}

/** The fault of paths in which there is nothing to read. */
export function noResources(paths: readonly string[], why?: string): TrysailError {
  return new TrysailError(
    'RESOURCES_UNREADABLE',
    `there are no resources in ${paths.map((path) => (path === '-' ? STANDARD_INPUT : path)).join(', ')}${why === undefined ? '' : `: ${why}`}`,
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
  const { files: found, named, charts } = await filesOf(paths);
  if (found.size > MAX_FILES) throw unreadable(paths.join(', '), new Error(`more than ${MAX_FILES} files`));
  const omitted = leaveOut === undefined ? undefined : await realpath(leaveOut).catch(() => undefined);
  const files: ResourceFile[] = [];
  for (const [real, name] of [...found].toSorted(([, a], [, b]) => (a < b ? -1 : 1))) {
    if (real === omitted) continue;
    try {
      const text = await read(name);
      const isNamed = named.has(real);
      if (isNamed ? isEmpty(text) : !MAY_BE_RESOURCE.test(text)) continue;
      const file = name === '-' ? STANDARD_INPUT : name;
      files.push(isNamed ? { file, text, named: true } : { file, text });
    } catch (error) {
      throw unreadable(name === '-' ? STANDARD_INPUT : name, error);
    }
  }
  if (files.length > 0) return { files, charts };
  const [chart] = charts;
  throw noResources(
    paths,
    chart === undefined ? undefined : `${chart} is a Helm chart, whose templates are to be filled in first`,
  );
}
