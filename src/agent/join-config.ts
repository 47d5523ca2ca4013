/** The text of agent.yaml and meshconfig.yaml that a join leaves behind: new with comments, or the user's own, completed. */
import { isDeepStrictEqual } from 'node:util';
import { isMap, isSeq, parseDocument, stringify } from 'yaml';
import { TrysailError } from '../lib/errors.ts';
import type { JoinSettings, WrittenEntry } from './join-settings.ts';

/** What becomes of a file. */
export interface ComposedFile {
  readonly text: string;
  /** One line for each setting that is added: `+ host.name: vm-1`. Empty for a file that stays as it is. */
  readonly added: readonly string[];
  /** What the file says otherwise, and goes on saying. */
  readonly kept: readonly string[];
}

/** Where the join puts what agent.yaml names. */
export interface JoinPaths {
  readonly tokenFile: string;
  /** Undefined: where it is looked for anyway. */
  readonly meshConfigFile: string | undefined;
  /** Undefined: where it is looked for anyway, or there is none. */
  readonly fleetRootFile?: string | undefined;
}

interface Wanted {
  readonly path: readonly string[];
  readonly value: string;
  readonly comment: string;
}

function wantedSettings(
  settings: JoinSettings,
  { tokenFile, meshConfigFile, fleetRootFile }: JoinPaths,
): readonly Wanted[] {
  const optional = (path: string, value: string | undefined, comment: string): readonly Wanted[] =>
    value === undefined ? [] : [{ path: path.split('.'), value, comment }];
  return [
    ...optional('host.name', settings.name, 'unique in the mesh; the credential is made out to it'),
    ...optional('host.address', settings.address, 'where peers reach this host'),
    ...optional('mesh.config', meshConfigFile, 'what holds for the whole mesh'),
    ...optional('mesh.fleet.trust', fleetRootFile, "whose configuration in Consul counts: the fleet's root"),
    ...optional('consul.address', settings.consulAddress, "the host's Consul agent"),
    ...optional('mode', settings.mode, 'what the mesh does for the services of this host'),
    ...optional('callAs', settings.callAs, 'whose identity calls through loopback upstreams carry'),
    ...optional('identity.ca.joinTokenFile', tokenFile, 'used once, and removed then'),
  ];
}

const inline = (value: unknown): string => stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();

function listText(key: string, comment: string, entries: readonly WrittenEntry[]): string {
  if (entries.length === 0) return '';
  return `\n# ${comment}\n${key}:\n${entries.map((entry) => `  - ${inline(entry)}\n`).join('')}`;
}

function newText(settings: JoinSettings, wanted: readonly Wanted[], trustDomain: string): string {
  const lines = [
    `# This host in the mesh ${trustDomain}. Written by "trysail join"; yours from now on.`,
    '# What is not here has its default. "trysail check" looks at it, "systemctl reload trysail" applies a change.',
  ];
  let before: readonly string[] = [];
  for (const { path, value, comment } of wanted) {
    const sections = path.slice(0, -1);
    const shared = sections.findIndex((section, i) => before[i] !== section);
    const from = shared === -1 ? sections.length : shared;
    if (from === 0) lines.push('');
    for (const [i, section] of sections.entries()) if (i >= from) lines.push(`${'  '.repeat(i)}${section}:`);
    lines.push(`${'  '.repeat(sections.length)}${path.at(-1) ?? ''}: ${inline(value)}  # ${comment}`);
    before = sections;
  }
  return [
    `${lines.join('\n')}\n`,
    listText('services', 'The services that this host runs, each with an identity of its own.', settings.services),
    listText('upstreams', 'The services that they call.', settings.upstreams),
  ].join('');
}

/** By what two entries of a list are the same service or upstream. */
function sameEntry(a: WrittenEntry, b: WrittenEntry): boolean {
  if ('name' in a) return a['name'] === b['name'] && (a['namespace'] ?? 'default') === (b['namespace'] ?? 'default');
  return isDeepStrictEqual([a['service'], a['port']], [b['service'], b['port']]);
}

/**
 * agent.yaml with everything that the join wants and the file does not say yet; what it says stays as it is.
 * @param existing undefined: there is no file
 * @throws TrysailError CONFIGURATION_INVALID when the existing file is not YAML
 */
export function composeAgentYaml(
  existing: string | undefined,
  settings: JoinSettings,
  { trustDomain, ...paths }: JoinPaths & { readonly trustDomain: string },
): ComposedFile {
  const wanted = wantedSettings(settings, paths);
  const lists = [
    ['services', settings.services],
    ['upstreams', settings.upstreams],
  ] as const;
  const added: string[] = [];
  const kept: string[] = [];
  const note = (path: string, value: unknown): void => void added.push(`+ ${path}: ${inline(value)}`);
  if (existing === undefined) {
    for (const { path, value } of wanted) note(path.join('.'), value);
    for (const [key, entries] of lists) for (const entry of entries) note(`${key}[]`, entry);
    return { text: newText(settings, wanted, trustDomain), added, kept };
  }
  const document = parseDocument(existing);
  const [fault] = document.errors;
  if (fault !== undefined || (document.contents !== null && !isMap(document.contents))) {
    throw new TrysailError(
      'CONFIGURATION_INVALID',
      `agent.yaml is there and is not a YAML mapping: ${fault?.message ?? ''}`,
      {
        remedy: 'Correct it, or move it away and join again.',
      },
    );
  }
  for (const { path, value } of wanted) {
    const has = document.getIn(path);
    if (has === undefined || has === null) {
      document.setIn(path, value);
      note(path.join('.'), value);
    } else if (has !== value) kept.push(`${path.join('.')} is ${inline(has)}, asked for was ${inline(value)}`);
  }
  for (const [key, entries] of lists) {
    for (const entry of entries) {
      const list = document.get(key);
      const present = isSeq(list) ? (list.toJSON() as readonly WrittenEntry[]) : [];
      const same = present.find((one) => sameEntry(entry, one));
      if (same === undefined) {
        if (isSeq(list)) list.add(document.createNode(entry));
        else document.setIn([key], document.createNode([entry]));
        note(`${key}[]`, entry);
      } else if (!Object.entries(entry).every(([name, value]) => isDeepStrictEqual(same[name], value))) {
        kept.push(`${key} has ${inline(same)}, asked for was ${inline(entry)}`);
      }
    }
  }
  return { text: added.length === 0 ? existing : document.toString({ lineWidth: 0 }), added, kept };
}

/**
 * meshconfig.yaml: the CA's, or one with the trust domain alone; a file that is there stays.
 * @param given text that the CA hands out
 */
export function composeMeshConfig(
  existing: string | undefined,
  given: string | undefined,
  trustDomain: string,
): ComposedFile {
  if (existing !== undefined) {
    const differs = given !== undefined && given.trim() !== existing.trim();
    return { text: existing, added: [], kept: differs ? ["it is not the CA's, which new hosts get"] : [] };
  }
  const text =
    given ??
    `# What holds for the whole mesh: the same on every host. Written by "trysail join".\ntrustDomain: ${trustDomain}\n`;
  return { text, added: text.split('\n').flatMap((line) => (/^\s*(?:#|$)/.test(line) ? [] : [`+ ${line}`])), kept: [] };
}

/** The public key of the fleet's root: the CA's; a file that is there stays. */
export function composeFleetRoot(existing: string | undefined, given: string): ComposedFile {
  if (existing === undefined) return { text: given, added: ["+ the fleet's root, by the CA"], kept: [] };
  const differs = given.trim() !== existing.trim();
  return { text: existing, added: [], kept: differs ? ["it is not the CA's, which new hosts get"] : [] };
}
