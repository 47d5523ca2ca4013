/** The files that settings name: where a relative path leads, and whether a secret is safe where it lies. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { errorCode } from '../lib/errors.ts';
import type { Path } from '../lib/yaml-document.ts';
import type { Complaint } from './settings-place.ts';

/** What relative paths are relative to. */
export interface PathBase {
  /** Folder of agent.yaml, or the working directory. */
  readonly directory: string;
  /** systemd's `$CREDENTIALS_DIRECTORY`. https://systemd.io/CREDENTIALS/ */
  readonly credentials: string | undefined;
}

const CREDENTIALS = '${CREDENTIALS_DIRECTORY}';

/** An ordinary path: relative to the folder of agent.yaml. */
export function resolvePath(path: string, base: PathBase): string {
  return resolve(base.directory, path);
}

/**
 * The path of a secret or certificate: `${CREDENTIALS_DIRECTORY}/x` and a relative path that exists there lead into
 * systemd's credentials, any other relative path beside agent.yaml. Undefined when the variable is not set.
 */
export function resolveSecretPath(path: string, base: PathBase): string | undefined {
  if (path.startsWith(CREDENTIALS))
    return base.credentials === undefined ? undefined : join(base.credentials, path.slice(CREDENTIALS.length));
  if (isAbsolute(path)) return path;
  const credential = base.credentials === undefined ? undefined : join(base.credentials, path);
  return credential !== undefined && existsSync(credential) ? credential : resolvePath(path, base);
}

/** A complaint when a path uses systemd's variable and systemd did not set it. */
export function credentialComplaint(path: Path, written: string, base: PathBase): Complaint | undefined {
  if (!written.startsWith(CREDENTIALS) || base.credentials !== undefined) return undefined;
  const name = written.slice(CREDENTIALS.length + 1);
  return {
    code: 'TRY0903',
    path,
    message: `${written} cannot be found: the environment has no CREDENTIALS_DIRECTORY`,
    remedy: `Let systemd set it by LoadCredential=${name}:/path/of/${name} in the unit, or write an absolute path.`,
  };
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * A complaint when a file cannot be read or, if it is a secret, others may read or change it.
 * @param mayBeMissing whether absence is no fault (a join token after the join)
 */
export function fileComplaint(
  path: Path,
  file: string,
  options: { readonly secret: boolean; readonly mayBeMissing?: boolean },
): Complaint | undefined {
  const complain = (message: string, remedy: string): Complaint => ({ code: 'TRY0903', path, message, remedy });
  const name = file.slice(file.lastIndexOf('/') + 1);
  try {
    const status = statSync(file);
    if (!status.isFile()) return complain(`${file} is not a regular file`, 'Name a file.');
    const mode = status.mode & 0o777;
    if (options.secret && (mode & 0o027) !== 0)
      return complain(
        `${file} has mode ${mode.toString(8).padStart(4, '0')}: others than its owner and group could read or change this secret`,
        `Run: chmod 0600 ${file}`,
      );
    accessSync(file, constants.R_OK);
    return undefined;
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      if (UUID.test(name))
        return { ...complain('the value looks like a token, not like the path of a file', NO_INLINE), code: 'TRY0904' };
      return options.mayBeMissing === true
        ? undefined
        : complain(`${file} does not exist`, 'Create the file, or correct the path.');
    }
    return complain(`${file} cannot be read (${code ?? 'unknown error'})`, 'Let the user of the agent read it.');
  }
}

/** The remedy for a secret in a place where it can be read by anybody who reads the configuration. */
export const NO_INLINE =
  'Secrets come as files only: write it to a file of mode 0600 (or a systemd credential) and name that file.';
