/**
 * Files of YAML → the resources that hold. Pure: what a fault leaves in force comes from the state that the call before
 * returned. A file with a syntax error keeps all that it held, a faulty resource its own last good version.
 */
import { type Path, parseYamlDocuments, type YamlDocument } from '../lib/yaml-document.ts';
import { compareDiagnostics, type Diagnostic, type SourceLocation } from '../model/diagnostic.ts';
import { compareAge, type ResourceMeta } from '../model/resource-meta.ts';
import { readEnvelope, resourceKey } from './envelope.ts';
import { sortOf } from './foreign-documents.ts';
import type { ResourceIssue } from './kinds/kind.ts';
import { KINDS } from './kinds.ts';
import { assignAges } from './resource-ages.ts';
import { EMPTY_RESOURCES, type ResourceSet } from './resource-set.ts';

export interface ResourceFile {
  /** As diagnostics name it; the order of these names stands in for the age of resources that have none. */
  readonly file: string;
  readonly text: string;
  /** It is one resource, of which the source says more than the text; such files go before others. */
  readonly single?: SingleResource;
  /** A user named it itself, not a folder that holds it. */
  readonly named?: true;
}

/** Whether a document, or element of a `List`, is none of ours and left out without a word. */
export type LeaveOut = (value: unknown, file: ResourceFile) => boolean;

/** What is known of a resource beside its text. */
export interface SingleResource {
  /** `kind/namespace/name`: a text that says otherwise is not applied. */
  readonly key: string;
  /** Milliseconds since 1970, for a text without `metadata.creationTimestamp`. */
  readonly createdMs: number;
}

/** Longest text of a fault, in characters. */
const MOST_SAID = 600;
/** Faults of one resource that are told. */
const MOST_ISSUES = 50;

interface AnyResource {
  readonly meta: ResourceMeta;
}

/** A resource that passed, before its age is known. */
interface Passed {
  readonly resource: AnyResource;
  /** Its content, for comparison. */
  readonly fingerprint: string;
  readonly createdMs: number | undefined;
}

/** One document, or one element of a `List`. */
interface Entry {
  /** `kind/namespace/name`; undefined when not even that can be read. */
  readonly key: string | undefined;
  readonly source: SourceLocation;
  /** Undefined: it has errors. */
  readonly passed: Passed | undefined;
  /** It is of another program, whose kind may have the name of one of ours. */
  readonly foreign?: true;
  readonly issues: readonly ResourceIssue[];
}

interface FileState {
  readonly text: string;
  readonly single: SingleResource | undefined;
  readonly entries: readonly Entry[];
  readonly syntax: readonly Diagnostic[];
}

/** What the next reading needs of this one. */
export interface ReadingState {
  readonly set: ResourceSet;
  readonly files: ReadonlyMap<string, FileState>;
  readonly held: ReadonlyMap<string, Passed>;
}

function describeKey(key: string): string {
  const [kind, ...rest] = key.split('/');
  return `${kind} ${rest.join('/')}`;
}

function readEntry(value: unknown, document: YamlDocument, base: Path): Entry {
  const key = resourceKey(value);
  const source = { file: document.file, line: document.lineOf(base) };
  const { envelope, issues } = readEnvelope(value, document, base);
  const kind = envelope === undefined ? undefined : KINDS[envelope.kind];
  if (envelope === undefined || kind === undefined) {
    const fault: Entry = { key, source, passed: undefined, issues };
    return sortOf(value) === 'foreign' ? { ...fault, foreign: true } : fault;
  }
  const { namespace, name, labels, createdMs, suppressed } = envelope;
  const meta: ResourceMeta = {
    kind: kind.kind,
    namespace,
    name,
    labels,
    source,
    age: 0,
    ...(suppressed !== undefined && { suppressed }),
  };
  const spec = (value as { readonly spec?: unknown }).spec;
  const read = kind.read(meta, spec, document, [...base, 'spec']);
  const passed =
    read.resource === undefined
      ? undefined
      : { resource: read.resource, fingerprint: JSON.stringify([source, value]), createdMs };
  return { key, source, passed, issues: read.issues };
}

/** The elements of a Kubernetes `List` (or `VirtualServiceList`); undefined for anything else. */
function listItems(value: unknown): readonly unknown[] | undefined {
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('items' in value)) return undefined;
  const isList = typeof value.kind === 'string' && value.kind.endsWith('List') && Array.isArray(value.items);
  return isList ? (value.items as readonly unknown[]) : undefined;
}

function readDocument(document: YamlDocument, isLeftOut: (value: unknown) => boolean = () => false): readonly Entry[] {
  const items = listItems(document.value);
  if (items === undefined) return isLeftOut(document.value) ? [] : [readEntry(document.value, document, [])];
  return items.flatMap((item, i) => (isLeftOut(item) ? [] : [readEntry(item, document, ['items', i])]));
}

/** The only entry of a file that is one resource. What says it is another one is a fault of that resource. */
function singleEntry(
  entries: readonly Entry[],
  { key, createdMs }: SingleResource,
  document: YamlDocument | undefined,
  file: string,
): Entry {
  const [entry] = entries;
  if (entry !== undefined && entries.length === 1 && entry.key === key) {
    const { passed } = entry;
    if (passed === undefined) return entry;
    const resource = { ...passed.resource, meta: { ...passed.resource.meta, published: true as const } };
    return { ...entry, passed: { ...passed, resource, createdMs: passed.createdMs ?? createdMs } };
  }
  const found = entries.map((one) => (one.key === undefined ? 'something else' : describeKey(one.key))).join(', ');
  const line = document?.line ?? 1;
  const issue: ResourceIssue = {
    code: 'TRY0705',
    severity: 'error',
    path: '',
    line,
    message: `was published under this name and is ${found === '' ? 'empty' : found}`,
    remedy: 'Apply it again.',
  };
  return { key, source: { file, line }, passed: undefined, issues: [issue] };
}

function readFile(one: ResourceFile, previous: FileState | undefined, leaveOut: LeaveOut | undefined): FileState {
  const { file, text, single } = one;
  const documents = parseYamlDocuments(text, file);
  const syntax = documents.flatMap((document) =>
    document.issues.map((issue): Diagnostic => {
      const held = previous?.entries.some((entry) => entry.passed !== undefined) ?? false;
      return {
        code: 'TRY0001',
        severity: 'error',
        source: { file, line: issue.line },
        message: `${issue.message} (${held ? 'the last good version of the file stays in force' : 'nothing of the file is applied'})`,
        ...(issue.remedy === undefined ? {} : { remedy: issue.remedy }),
      };
    }),
  );
  if (single !== undefined) {
    // The name of the file, not what was in it before, tells which resource it is.
    const fault = { key: single.key, source: { file, line: 1 }, passed: undefined, issues: [] };
    const entries =
      syntax.length > 0
        ? [fault]
        : [
            singleEntry(
              documents.flatMap((document) => readDocument(document)),
              single,
              documents[0],
              file,
            ),
          ];
    return { text, single, entries, syntax };
  }
  if (syntax.length > 0) return { text, single, entries: previous?.entries ?? [], syntax };
  const isLeftOut = (value: unknown): boolean => leaveOut?.(value, one) === true;
  const entries = documents.flatMap((document) => readDocument(document, isLeftOut));
  if (entries.every((entry) => entry.key !== undefined)) return { text, single, entries, syntax };
  // One of them may be the broken form of a resource that the file held, but nobody can say of which.
  const present = new Set(entries.map((entry) => entry.key));
  const orphans = (previous?.entries ?? []).filter((entry) => entry.passed !== undefined && !present.has(entry.key));
  return { text, single, entries: [...entries, ...orphans], syntax };
}

/** A value that is quoted may be as long as its file. */
function shorten(text: string): string {
  return text.length <= MOST_SAID ? text : `${text.slice(0, MOST_SAID)}…`;
}

function toDiagnostic(entry: Entry, issue: ResourceIssue, held: boolean): Diagnostic {
  const outcome = held ? 'the last good version stays in force' : 'the resource is not applied';
  const message = shorten(issue.message);
  return {
    code: issue.code,
    severity: issue.severity,
    ...(entry.key === undefined ? {} : { object: shorten(describeKey(entry.key)) }),
    ...(issue.path === '' ? {} : { path: shorten(issue.path) }),
    source: { file: entry.source.file, line: issue.line },
    message: issue.severity === 'error' ? `${message} (${outcome})` : message,
    ...(issue.remedy === undefined ? {} : { remedy: issue.remedy }),
  };
}

/** What is said of a resource; of many faults the first, and how many others there are. */
function toDiagnostics(entry: Entry, held: boolean): readonly Diagnostic[] {
  const worstFirst = entry.issues.toSorted((a, b) => Number(a.severity !== 'error') - Number(b.severity !== 'error'));
  const said = worstFirst.slice(0, MOST_ISSUES).map((issue) => toDiagnostic(entry, issue, held));
  const [first] = said;
  const others = entry.issues.length - said.length;
  if (first === undefined || others === 0) return said;
  const { path: _, ...rest } = first;
  return [...said, { ...rest, message: `has ${others} faults more`, remedy: 'Correct those that are named first.' }];
}

/** The list of a kind, oldest first; the previous array where nothing in it changed. */
function listOf<T extends AnyResource>(
  all: readonly AnyResource[],
  kind: string,
  previous: readonly T[],
): readonly T[] {
  const list = all.filter(({ meta }) => meta.kind === kind).sort((a, b) => compareAge(a.meta, b.meta)) as T[];
  return list.length === previous.length && list.every((element, i) => element === previous[i]) ? previous : list;
}

function compareFiles(a: ResourceFile, b: ResourceFile): number {
  const rank = Number(a.single === undefined) - Number(b.single === undefined);
  return rank === 0 ? (a.file < b.file ? -1 : Number(a.file > b.file)) : rank;
}

function sameSingle(a: SingleResource | undefined, b: SingleResource | undefined): boolean {
  return a?.key === b?.key && a?.createdMs === b?.createdMs;
}

/**
 * Reads all files anew, but parses only those whose text changed. Never throws; what is wrong is in
 * `set.diagnostics`, sorted. The result does not depend on the order of `files`, only on their names.
 */
export function readResources(
  previous: ReadingState | undefined,
  files: readonly ResourceFile[],
  leaveOut?: LeaveOut,
): ReadingState {
  const states = new Map<string, FileState>();
  const diagnostics: Diagnostic[] = [];
  const effective = new Map<string, Passed>();
  const claimed = new Map<string, SourceLocation>();
  for (const file of files.toSorted(compareFiles)) {
    const before = previous?.files.get(file.file);
    const same = before?.text === file.text && sameSingle(before.single, file.single);
    states.set(file.file, same ? before : readFile(file, before, leaveOut));
  }
  const own = new Set(
    [...states.values()].flatMap(({ entries }) => entries.flatMap((one) => (one.foreign === true ? [] : one.key))),
  );
  for (const state of states.values()) {
    diagnostics.push(...state.syntax);
    for (const entry of state.entries) {
      if (entry.foreign === true && own.has(entry.key)) {
        diagnostics.push(...toDiagnostics(entry, false));
        continue;
      }
      const { key, passed, source } = entry;
      const first = key === undefined ? undefined : claimed.get(key);
      if (key !== undefined && first !== undefined) {
        diagnostics.push({
          code: 'TRY0004',
          severity: 'error',
          object: describeKey(key),
          source,
          message: `stands in ${first.file}:${first.line} already, which holds`,
          remedy: 'Remove or rename one of the two.',
        });
        continue;
      }
      if (key !== undefined) claimed.set(key, source);
      const holds = passed ?? (key === undefined ? undefined : previous?.held.get(key));
      diagnostics.push(...toDiagnostics(entry, holds !== undefined));
      if (key !== undefined && holds !== undefined) effective.set(key, holds);
    }
  }

  const ages = assignAges(
    [...effective].map(([key, { createdMs }]) => ({
      createdMs,
      previousAge: previous?.held.get(key)?.resource.meta.age,
    })),
  );
  const held = new Map<string, Passed>();
  for (const [i, [key, passed]] of [...effective].entries()) {
    const age = ages[i] ?? 0;
    const before = previous?.held.get(key);
    const same = before?.fingerprint === passed.fingerprint && before.resource.meta.age === age;
    const { resource } = passed;
    held.set(key, same ? before : { ...passed, resource: { ...resource, meta: { ...resource.meta, age } } });
  }

  const all = [...held.values()].map(({ resource }) => resource);
  const old = previous?.set ?? EMPTY_RESOURCES;
  const sorted = diagnostics.sort(compareDiagnostics);
  const set: ResourceSet = {
    virtualServices: listOf(all, 'VirtualService', old.virtualServices),
    destinationRules: listOf(all, 'DestinationRule', old.destinationRules),
    peerAuthentications: listOf(all, 'PeerAuthentication', old.peerAuthentications),
    serviceEntries: listOf(all, 'ServiceEntry', old.serviceEntries),
    workloadEntries: listOf(all, 'WorkloadEntry', old.workloadEntries),
    serviceRecords: listOf(all, 'Service', old.serviceRecords),
    gateways: listOf(all, 'Gateway', old.gateways),
    sidecars: listOf(all, 'Sidecar', old.sidecars),
    rateLimits: listOf(all, 'RateLimit', old.rateLimits),
    envoyFilters: listOf(all, 'EnvoyFilter', old.envoyFilters),
    proxyConfigs: listOf(all, 'ProxyConfig', old.proxyConfigs),
    workloadGroups: listOf(all, 'WorkloadGroup', old.workloadGroups),
    meshSettings: listOf(all, 'MeshConfig', old.meshSettings),
    diagnostics: JSON.stringify(sorted) === JSON.stringify(old.diagnostics) ? old.diagnostics : sorted,
  };
  const changed = (Object.keys(set) as (keyof ResourceSet)[]).some((list) => set[list] !== old[list]);
  return { set: changed ? set : old, files: states, held };
}

/** The resources of some files, with no memory: for commands that work offline. */
export function parseResources(files: readonly ResourceFile[], leaveOut?: LeaveOut): ResourceSet {
  return readResources(undefined, files, leaveOut).set;
}
