/** Reads the agent's settings: flags over environment over agent.yaml, checked, completed, with every fault at its place. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errorCode } from '../lib/errors.ts';
import { nearest } from '../lib/nearest.ts';
import { checkAgainst, type Path, parseYamlDocuments, type YamlDocument } from '../lib/yaml-document.ts';
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import type { AgentSettings } from './settings.ts';
import { completeSettings, type Machine } from './settings-complete.ts';
import { credentialComplaint, fileComplaint, NO_INLINE, type PathBase } from './settings-files.ts';
import { SETTINGS, settingAt } from './settings-list.ts';
import { SettingsPlace } from './settings-place.ts';
import { settingsComplaints } from './settings-rules.ts';
import { SETTINGS_SCHEMA, type WrittenSettings } from './settings-schema.ts';

export interface SettingsSources {
  /** Path of agent.yaml; undefined: none. */
  readonly file: string | undefined;
  /** Its text, where it is not what lies there (yet); absent: it is read. */
  readonly text?: string;
  /** Values of flags by setting path, such as `{'consul.address': 'http://…'}`. */
  readonly flags: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What the machine says of itself where the settings are silent. */
  readonly machine: Machine;
}

export type LoadedSettings =
  | { readonly settings: AgentSettings; readonly warnings: readonly Diagnostic[] }
  | {
      /** At least one of them is an error. */
      readonly issues: readonly Diagnostic[];
      /** Where the mesh's files lie, if that much could be read: `check` goes on with them. */
      readonly mesh?: AgentSettings['mesh'];
    };

/** Variables of ours that are no settings: the file itself, the API socket, the folder of a CA, what Envoy inherits. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  'TRYSAIL_CONFIG',
  'TRYSAIL_SOCKET',
  'TRYSAIL_CA_DIR',
  'TRYSAIL_CAPTURE_FIFO',
  'TRYSAIL_FLEET_ROOT',
  'TRYSAIL_PUBLISHER_KEY',
]);

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A key without a value (`consul:` with everything below commented out) counts as absent. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isMap(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (inner === null ? [] : [[key, withoutNulls(inner)]])),
  );
}

function setAt(root: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [head = '', ...rest] = path;
  if (rest.length === 0) root[head] = value;
  else {
    const child = root[head];
    // What is not a map is left for the schema to complain of.
    if (child !== undefined && !isMap(child)) return;
    const map = child ?? {};
    root[head] = map;
    setAt(map, rest, value);
  }
}

function readDocument(
  file: string,
  given: string | undefined,
): { readonly document?: YamlDocument; readonly issues: readonly Diagnostic[] } {
  const unreadable = (message: string, remedy: string, line = 1): Diagnostic => ({
    code: 'TRY0900',
    severity: 'error',
    source: { file, line },
    message,
    remedy,
  });
  let text: string;
  try {
    text = given ?? readFileSync(file, 'utf8');
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT')
      return { issues: [unreadable('the file does not exist', 'Create it, or name another by --config.')] };
    return { issues: [unreadable(`the file cannot be read (${code ?? 'unknown error'})`, 'Let this user read it.')] };
  }
  const [document, second] = parseYamlDocuments(text, file);
  if (document === undefined) return { issues: [] };
  if (second !== undefined)
    return { issues: [unreadable('the file holds several YAML documents', 'Keep one.', second.line)] };
  if (document.issues.length > 0)
    return {
      issues: document.issues.map((issue) =>
        unreadable(issue.message, issue.remedy ?? 'Correct the YAML syntax at this line.', issue.line),
      ),
    };
  return { document, issues: [] };
}

function overlay(root: Record<string, unknown>, sources: SettingsSources, place: SettingsPlace): void {
  for (const { path, flag, variable, form } of SETTINGS) {
    if (flag === undefined || variable === undefined || form === undefined) continue;
    const fromFlag = sources.flags[path];
    const text = fromFlag ?? sources.env[variable];
    if (text === undefined) continue;
    setAt(root, path.split('.'), form.fromText === undefined ? text : form.fromText(text));
    place.give(path, fromFlag === undefined ? `environment variable ${variable}` : `flag ${flag}`);
  }
}

function unknownVariables(env: SettingsSources['env']): readonly Diagnostic[] {
  const known = SETTINGS.flatMap(({ variable }) => variable ?? []);
  return Object.keys(env)
    .filter((name) => name.startsWith('TRYSAIL_') && !known.includes(name) && !OTHER_VARIABLES.has(name))
    .toSorted()
    .map((name) => {
      const suggestion = nearest(name, known);
      return {
        code: 'TRY0905',
        severity: 'warning',
        message: `environment variable ${name} is no setting`,
        remedy: suggestion === undefined ? 'Remove it.' : `Did you mean "${suggestion}"?`,
      };
    });
}

const SECRET_KEY = /(?:token|secret|password|passphrase|privatekey|^key)$/i;

function schemaIssues(
  value: unknown,
  document: Pick<YamlDocument, 'lineOf'>,
  place: SettingsPlace,
): { readonly written: WrittenSettings } | { readonly issues: readonly Diagnostic[] } {
  const checked = checkAgainst(SETTINGS_SCHEMA, value, document);
  if ('value' in checked) return { written: checked.value };
  return {
    issues: checked.issues.map(({ path, message, remedy, line }): Diagnostic => {
      const key = /[^.\]]+$/.exec(path)?.[0] ?? path;
      const secret = message.startsWith('unknown key') && SECRET_KEY.test(key);
      if (secret)
        return place.diagnosticAt(path, line, {
          code: 'TRY0904',
          message: `"${key}" would be a secret inside of this file`,
          remedy: NO_INLINE,
        });
      const form = settingAt(path)?.form;
      const expected = form === undefined ? 'Correct it.' : `Write it like ${form.example}.`;
      return place.diagnosticAt(path, line, { code: 'TRY0901', message, remedy: remedy ?? expected });
    }),
  };
}

function fileDiagnostics(
  settings: AgentSettings,
  written: WrittenSettings,
  base: PathBase,
  place: SettingsPlace,
): readonly Diagnostic[] {
  const named: readonly {
    readonly path: Path;
    readonly written: string | undefined;
    readonly file: string | undefined;
    readonly secret: boolean;
    readonly mayBeMissing?: boolean;
  }[] = [
    ...(['tokenFile', 'keyFile', 'caFile', 'certFile'] as const).map((key) => ({
      path: ['consul', key],
      written: written.consul[key],
      file: settings.consul[key],
      secret: key === 'tokenFile' || key === 'keyFile',
    })),
    ...(['certificateFile', 'keyFile', 'rootFile'] as const).map((key) => ({
      path: ['identity', 'files', key],
      written: written.identity.files[key],
      file: settings.identity.files?.[key],
      secret: key === 'keyFile',
    })),
    {
      path: ['identity', 'ca', 'joinTokenFile'],
      written: written.identity.ca.joinTokenFile,
      file: settings.identity.ca.joinTokenFile,
      secret: true,
      // The token is spent by the join, and people tidy up.
      mayBeMissing: true,
    },
    { path: ['mesh', 'config'], written: written.mesh.config, file: settings.mesh.configFile, secret: false },
    {
      path: ['mesh', 'fleet', 'trust'],
      written: written.mesh.fleet.trust,
      file: settings.mesh.fleet?.trustFile,
      secret: false,
    },
    { path: ['envoy', 'binary'], written: written.envoy.binary, file: settings.envoy.binary, secret: false },
  ];
  return named.flatMap(({ path, written: text, file, secret, mayBeMissing = false }) => {
    if (text === undefined) return [];
    const complaint =
      credentialComplaint(path, text, base) ??
      (file === undefined ? undefined : fileComplaint(path, file, { secret, mayBeMissing }));
    return complaint === undefined ? [] : [place.diagnostic(complaint)];
  });
}

/**
 * The settings of one start of the agent. Never throws: everything that is wrong comes as diagnostics (codes TRY09xx)
 * with value, place, rule and remedy. Secret files are looked at (mode, existence) and not read.
 */
export function loadAgentSettings(sources: SettingsSources): LoadedSettings {
  const file = sources.file === undefined ? undefined : resolve(sources.file);
  const { document, issues } = file === undefined ? { issues: [] } : readDocument(file, sources.text);
  if (issues.length > 0) return { issues };
  const place = new SettingsPlace(file, document);
  const root = withoutNulls(document?.value ?? {});
  if (isMap(root)) overlay(root, sources, place);
  const checked = schemaIssues(root, document ?? { lineOf: () => 1 }, place);
  const variables = unknownVariables(sources.env);
  if ('issues' in checked) return { issues: [...checked.issues, ...variables].toSorted(compareDiagnostics) };

  const base: PathBase = {
    directory: file === undefined ? process.cwd() : dirname(file),
    credentials: sources.env['CREDENTIALS_DIRECTORY'],
  };
  const { written } = checked;
  const completed = completeSettings(written, { file, base, machine: sources.machine, exists: existsSync });
  if ('complaints' in completed)
    return { issues: [...completed.complaints.map((complaint) => place.diagnostic(complaint)), ...variables] };
  const { settings } = completed;
  const found = [
    ...settingsComplaints(settings, written).map((complaint) => place.diagnostic(complaint)),
    ...fileDiagnostics(settings, written, base, place),
    ...variables,
  ];
  found.sort(compareDiagnostics);
  return found.some(({ severity }) => severity === 'error')
    ? { issues: found, mesh: settings.mesh }
    : { settings, warnings: found };
}
