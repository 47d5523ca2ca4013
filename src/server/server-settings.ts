/** `server.yaml`: what `trysail server` serves and where. */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import * as z from 'zod/mini';
import { parseDurationMs } from '../lib/duration.ts';
import { errorCode, TrysailError } from '../lib/errors.ts';
import type { LogLevel } from '../lib/log.ts';
import { checkAgainst, parseYamlDocuments, type YamlIssue } from '../lib/yaml-document.ts';

/** Roles that this version has. */
export const ROLES = ['ca'] as const;
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

function duration(leastMs: number, mostMs: number, range: string) {
  return z.string().check(
    z.refine(
      (text) => {
        const ms = parseDurationMs(text);
        return ms !== undefined && ms >= leastMs && ms <= mostMs;
      },
      { error: `must be a duration from ${range}, such as 24h` },
    ),
  );
}

const NAME = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45})$/;
const LISTEN = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/;

const Schema = z.strictObject({
  ca: z.optional(
    z.strictObject({
      dir: z.string().check(z.minLength(1, { error: 'must be the folder that "trysail ca init" made' })),
      listen: z.optional(z.string().check(z.regex(LISTEN, { error: 'must be address:port, such as 0.0.0.0:15012' }))),
      names: z.optional(
        z
          .array(z.string().check(z.regex(NAME, { error: 'must be a DNS name or an IP address, without a port' })))
          .check(z.maxLength(50, { error: 'must have at most 50 names' })),
      ),
      // Istio's own limit; what a host survives without the CA is half of it.
      workloadCertificateLifetime: z.optional(duration(60_000, 90 * DAY_MS, '1m to 2160h')),
      hostCredentialLifetime: z.optional(duration(HOUR_MS, 366 * DAY_MS, '1h to 8784h')),
      reEnrolGrace: z.optional(duration(0, 366 * DAY_MS, '0s to 8784h')),
      meshConfig: z.optional(z.string().check(z.minLength(1, { error: 'must be the path of a meshconfig.yaml' }))),
      fleetRoot: z.optional(z.string().check(z.minLength(1, { error: 'must be the path of a fleet-root.pub.pem' }))),
    }),
  ),
  log: z.optional(z.strictObject({ level: z.optional(z.enum(['debug', 'info', 'warn', 'error'])) })),
});

function complaint(file: string, issues: readonly YamlIssue[]): TrysailError {
  const lines = issues.map(({ line, path, message, remedy }) =>
    [`${file}:${line}:`, path, message.endsWith('.') ? message : `${message}.`, remedy ?? '']
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
 * Reads the file's text. Throws CONFIGURATION_INVALID with each mistake as `file:line: path message`.
 * @param baseDir what relative paths are relative to: the folder of the file
 */
export function parseServerSettings(text: string, file: string, baseDir: string): ServerSettings {
  const documents = parseYamlDocuments(text, file);
  const [document] = documents;
  if (document === undefined || documents.length > 1) {
    throw complaint(file, [
      { path: '', line: 1, message: `holds ${documents.length} YAML documents, and has to hold one` },
    ]);
  }
  if (document.issues.length > 0) throw complaint(file, document.issues);
  const checked = checkAgainst(Schema, document.value, document);
  if (!('value' in checked)) throw complaint(file, checked.issues);
  const { ca, log } = checked.value;
  const level = log?.level ?? 'info';
  if (ca === undefined) return { ca: undefined, log: { level } };
  const listen = ca.listen ?? '0.0.0.0:15012';
  const path = (text: string): string => (isAbsolute(text) ? text : resolve(baseDir, text));
  return {
    ca: {
      dir: path(ca.dir),
      listen,
      names: ca.names ?? defaultNames(listen),
      workloadLifetimeMs: parseDurationMs(ca.workloadCertificateLifetime ?? '24h') ?? DAY_MS,
      hostLifetimeMs: parseDurationMs(ca.hostCredentialLifetime ?? '720h') ?? 30 * DAY_MS,
      reEnrolGraceMs: parseDurationMs(ca.reEnrolGrace ?? '720h') ?? 30 * DAY_MS,
      meshConfigFile: ca.meshConfig === undefined ? undefined : path(ca.meshConfig),
      fleetRootFile: ca.fleetRoot === undefined ? undefined : path(ca.fleetRoot),
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
