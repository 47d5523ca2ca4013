/** Finding the Envoy program, and whether its version is one that Trysail's configuration is written for. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { errorCode, errorMessage, TrysailError } from '../../lib/errors.ts';

/** The oldest Envoy that knows all that our configuration uses. */
const MINIMUM = { major: 1, minor: 40 } as const;
const VERSION_TIMEOUT_MS = 10_000;

export interface BinarySearch {
  /** `envoy.binary`; when it is set, nothing else is looked at. */
  readonly configured?: string | undefined;
  /** The folder of the running program. */
  readonly programDir: string;
  /** Default: `PATH` of the environment. */
  readonly path?: string;
}

/** Folders above `dir` and itself, nearest first. */
function ancestors(dir: string): readonly string[] {
  const parent = dirname(dir);
  return parent === dir ? [dir] : [dir, ...ancestors(parent)];
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The path of Envoy: as configured, else beside the program, else in `.tools` of the checkout that the program is in,
 * else on `PATH`.
 * @throws TrysailError ENVOY_BINARY_MISSING naming where it was looked for
 */
export async function findEnvoyBinary(search: BinarySearch): Promise<string> {
  const { configured, programDir, path = process.env['PATH'] ?? '' } = search;
  const candidates =
    configured === undefined
      ? [
          join(programDir, 'envoy'),
          ...ancestors(resolve(programDir)).map((dir) => join(dir, '.tools/envoy/envoy')),
          ...path
            .split(delimiter)
            .filter((dir) => dir !== '')
            .map((dir) => join(dir, 'envoy')),
        ]
      : [resolve(configured)];
  for (const candidate of candidates) if (await isExecutable(candidate)) return candidate;
  throw new TrysailError(
    'ENVOY_BINARY_MISSING',
    configured === undefined
      ? `no Envoy beside the program (${programDir}), in .tools above it, or on PATH`
      : `envoy.binary: there is no program at ${resolve(configured)}`,
    { remedy: `Install Envoy ${MINIMUM.major}.${MINIMUM.minor}, or set envoy.binary to its path.` },
  );
}

/** Whether our configuration suits a release such as `1.40.0`. */
export function isSupportedEnvoy(release: string): boolean {
  const [major = 0, minor = 0] = release.split('.').map(Number);
  return major === MINIMUM.major && minor >= MINIMUM.minor;
}

/**
 * The release of an Envoy program, such as `1.40.0`. Takes some 60 ms: it runs the program.
 * @throws TrysailError ENVOY_BINARY_MISSING, ENVOY_BINARY_UNUSABLE, or ENVOY_VERSION_UNSUPPORTED naming both versions
 */
export async function envoyVersion(path: string): Promise<string> {
  let output: string;
  try {
    output = await new Promise<string>((resolve_, reject) => {
      execFile(path, ['--version'], { timeout: VERSION_TIMEOUT_MS, maxBuffer: 64 * 1024 }, (error, stdout) => {
        if (error === null) resolve_(stdout);
        else reject(error);
      });
    });
  } catch (error) {
    const missing = errorCode(error) === 'ENOENT';
    throw new TrysailError(
      missing ? 'ENVOY_BINARY_MISSING' : 'ENVOY_BINARY_UNUSABLE',
      missing
        ? `there is no Envoy at ${path}`
        : `${path} --version failed: ${errorMessage(error).split('\n')[0] ?? ''}`,
      { remedy: 'Install Envoy for this machine’s architecture, or set envoy.binary to its path.', cause: error },
    );
  }
  const release = /\bversion: [^/\s]*\/(\d+\.\d+\.\d+[^/]*)\//.exec(output)?.[1];
  if (release === undefined)
    throw new TrysailError(
      'ENVOY_BINARY_UNUSABLE',
      `${path} is not Envoy: it says "${output.trim().split('\n')[0]?.slice(0, 100) ?? ''}"`,
      {
        remedy: 'Set envoy.binary to the path of Envoy.',
      },
    );
  if (!isSupportedEnvoy(release))
    throw new TrysailError(
      'ENVOY_VERSION_UNSUPPORTED',
      `${path} is Envoy ${release}; Trysail needs ${MINIMUM.major}.${MINIMUM.minor} or later`,
      { remedy: `Install Envoy ${MINIMUM.major}.${MINIMUM.minor}, or set envoy.binary to the path of one.` },
    );
  return release;
}
