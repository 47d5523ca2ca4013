/** `server.yaml`: what `trysail server` serves and where. */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import * as z from 'zod/mini';
import { parseDurationMs } from '../lib/duration.ts';
import { errorCode, TrysailError } from '../lib/errors.ts';
import type { LogLevel } from '../lib/log.ts';
import { shownValue } from '../lib/shown-value.ts';
import { checkAgainst, parseYamlDocuments, type YamlIssue } from '../lib/yaml-document.ts';

/** Roles that this version has. */
const ROLES = ['ca'] as const;
export type Role = (typeof ROLES)[number];

export interface CaSettings {
  /** The CA's folder, absolute. */
  readonly dir: string;
  /** `address:port`. */
  readonly listen: string;
  /** DNS names and IP addresses in the server's certificate. */
  readonly names: readonly string[];
  readonly workloadLifetimeMs: number;
  readonly hostLifetimeMs: number;
  /** For how long after its end a host gets its credential anew with its own key; 0: not at all. */
  readonly reEnrolGraceMs: number;
  /** The meshconfig.yaml that hosts get when they join, absolute; undefined: one with the trust domain alone. */
  readonly meshConfigFile: string | undefined;
  /** The public key of the fleet's root that hosts get when they join, absolute; undefined: none. */
  readonly fleetRootFile: string | undefined;
}

export interface ServerSettings {
  readonly ca: CaSettings | undefined;
  readonly log: { readonly level: LogLevel };
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Text that passes a test; else the value, what it is not, and how to write it. */
function text(noun: string, remedy: string, passes: (text: string) => boolean): z.ZodMiniString {
  return z
    .string()
    .check(z.refine(passes, { error: ({ input }) => `${shownValue(input)} is not ${noun}`, params: { remedy } }));
}

function duration(leastMs: number, mostMs: number, range: string): z.ZodMiniString {
  return text(`a duration from ${range}`, 'Write it like 24h.', (written) => {
    const ms = parseDurationMs(written);
    return ms !== undefined && ms >= leastMs && ms <= mostMs;
  });
}

const NAME = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45})$/;
const LISTEN = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/;
const MOST_NAMES = 50;

/** The path of a file or folder. */
const path = (noun: string): z.ZodMiniString =>
  text(noun, 'Write its path; a relative one begins at the folder of this file.', (written) => written !== '');

const listen = text('an address and a port', 'Write it like 0.0.0.0:15012.', (written) => {
  const port = LISTEN.exec(written)?.[1];
  return port !== undefined && Number(port) <= 65_535;
});

const serverName = text(
  'a DNS name or an IP address',
  'Write it without scheme and port, like ca.example.com.',
  (name) => NAME.test(name),
);

const Schema = z.strictObject({
  ca: z.optional(
    z.strictObject({
      dir: path('the folder that "trysail ca init" made'),
      listen: z.optional(listen),
      names: z.optional(
        z.array(serverName).check(
          z.refine((names: readonly string[]) => names.length <= MOST_NAMES, {
            error: ({ input }) => `has ${Array.isArray(input) ? input.length : 'too many'} names`,
            params: { remedy: `Keep ${MOST_NAMES} at most.` },
          }),
        ),
      ),
      // Istio's own limit; what a host survives without the CA is half of it.
      workloadCertificateLifetime: z.optional(duration(60_000, 90 * DAY_MS, '1m to 2160h')),
      hostCredentialLifetime: z.optional(duration(HOUR_MS, 366 * DAY_MS, '1h to 8784h')),
      reEnrolGrace: z.optional(duration(0, 366 * DAY_MS, '0s to 8784h')),
      meshConfig: z.optional(path('the path of a meshconfig.yaml')),
      fleetRoot: z.optional(path('the path of a fleet-root.pub.pem')),
    }),
  ),
  log: z.optional(z.strictObject({ level: z.optional(z.enum(['debug', 'info', 'warn', 'error'])) })),
});

function complaint(file: string, issues: readonly YamlIssue[]): TrysailError {
  const lines = issues.map(({ line, path: at, message, remedy }) =>
    [`${file}:${line}:`, at === '' ? '' : `${at}:`, `${message}.`, remedy ?? '']
      .filter((part) => part !== '')
      .join(' '),
  );
  return new TrysailError('CONFIGURATION_INVALID', lines.join('\n'), {
    remedy: 'Correct the file; docs/identity.md describes it.',
  });
}

/** Names by which this machine is reached for certain. A server that listens on one address is reached by that. */
function defaultNames(listen: string): readonly string[] {
  const host = listen.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  const specific = ['0.0.0.0', '::', '127.0.0.1', 'localhost'].includes(host) ? [] : [host];
  return [...new Set([...specific, hostname(), 'localhost', '127.0.0.1'])];
}

/**
 * Reads the file's text. Throws CONFIGURATION_INVALID with each mistake as `file:line: path: message`.
 * @param baseDir what relative paths are relative to: the folder of the file
 */
export function parseServerSettings(text: string, file: string, baseDir: string): ServerSettings {
  const documents = parseYamlDocuments(text, file);
  const [document] = documents;
  if (document === undefined || documents.length > 1) {
    throw complaint(file, [
      {
        path: '',
        line: documents[1]?.line ?? 1,
        message: `the file holds ${documents.length === 0 ? 'no YAML document' : 'several YAML documents'}`,
        remedy: documents.length === 0 ? 'Write "ca: {dir: …}", the folder that "trysail ca init" made.' : 'Keep one.',
      },
    ]);
  }
  if (document.issues.length > 0) throw complaint(file, document.issues);
  const checked = checkAgainst(Schema, document.value, document);
  if (!('value' in checked)) throw complaint(file, checked.issues);
  const { ca, log } = checked.value;
  const level = log?.level ?? 'info';
  if (ca === undefined) return { ca: undefined, log: { level } };
  const address = ca.listen ?? '0.0.0.0:15012';
  const absolute = (file: string): string => (isAbsolute(file) ? file : resolve(baseDir, file));
  return {
    ca: {
      dir: absolute(ca.dir),
      listen: address,
      names: ca.names ?? defaultNames(address),
      workloadLifetimeMs: parseDurationMs(ca.workloadCertificateLifetime ?? '24h') ?? DAY_MS,
      hostLifetimeMs: parseDurationMs(ca.hostCredentialLifetime ?? '720h') ?? 30 * DAY_MS,
      reEnrolGraceMs: parseDurationMs(ca.reEnrolGrace ?? '720h') ?? 30 * DAY_MS,
      meshConfigFile: ca.meshConfig === undefined ? undefined : absolute(ca.meshConfig),
      fleetRootFile: ca.fleetRoot === undefined ? undefined : absolute(ca.fleetRoot),
    },
    log: { level },
  };
}

/** Reads `server.yaml`. Throws CONFIGURATION_INVALID, also when the file cannot be read. */
export async function loadServerSettings(file: string): Promise<ServerSettings> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new TrysailError('CONFIGURATION_INVALID', `cannot read ${file} (${errorCode(cause) ?? 'unknown error'})`, {
      cause,
      remedy: 'Give the path of server.yaml with --config.',
    });
  }
  return parseServerSettings(text, file, resolve(file, '..'));
}

/** The roles of `--roles ca,…`. Throws ROLE_UNKNOWN. */
export function parseRoles(text: string): readonly Role[] {
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) {
    if (!ROLES.some((role) => role === name)) {
      throw new TrysailError('ROLE_UNKNOWN', `"${name}" is not a role of this version`, {
        remedy: `The roles are: ${ROLES.join(', ')}.`,
      });
    }
  }
  return ROLES.filter((role) => names.includes(role));
}
