/** The files that a user applies: each document becomes one resource that says its namespace itself. */
import { type Document, isDocument, isMap, LineCounter, parseAllDocuments, stringify } from 'yaml';
import { TrysailError } from '../lib/errors.ts';
import { syntaxIssues, YAML_OPTIONS } from '../lib/yaml-syntax.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { collectPassedOver, refuseNothing } from '../sources/passed-over.ts';
import { readResourceFiles } from '../sources/resource-files.ts';
import { FLEET_LIMITS } from './layout.ts';

/** One resource as it is to be published. */
export interface Manifest {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** YAML. */
  readonly text: string;
  /** Where the user wrote it. */
  readonly source: { readonly file: string; readonly line: number };
  /** Where lines of `text` are in that file. */
  readonly lines: TextLines;
}

/** How the lines of a resource's text lie in the user's file. */
export interface TextLines {
  /** Of the first line. */
  readonly first: number;
  /** A line of the text that the user did not write. */
  readonly added: number | undefined;
}

/** The line in the user's file of a line of the text. */
export function writtenLine({ first, added }: TextLines, line: number): number {
  return first + line - 1 - (added !== undefined && line >= added ? 1 : 0);
}

/** A text that says what it is, from a file or from standard input. */
export interface ManifestFile {
  readonly file: string;
  readonly text: string;
}

/** Whether a document is none of ours and left out. */
type LeaveOut = (value: unknown, file: ManifestFile) => boolean;

function invalid(file: string, line: number, why: string, remedy: string): TrysailError {
  return new TrysailError('FLEET_MANIFEST', `${file}:${line}: ${why}.`, { remedy });
}

interface Named {
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly name: string;
}

const fields = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};

function nameOf(value: unknown, file: string, line: number): Named {
  const { kind, metadata } = fields(value);
  const { name, namespace } = fields(metadata);
  if (typeof kind !== 'string' || !/^[A-Z][A-Za-z0-9]{0,62}$/.test(kind))
    throw invalid(file, line, 'a resource without a valid "kind"', 'Add apiVersion, kind and metadata.name.');
  if (typeof name !== 'string' || !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name))
    throw invalid(file, line, `a ${kind} without a valid "metadata.name"`, 'Use lower-case letters, digits and "-".');
  if (namespace === undefined || namespace === null) return { kind, name, namespace: undefined };
  if (typeof namespace !== 'string' || !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace))
    throw invalid(
      file,
      line,
      `${kind} ${name} has no valid "metadata.namespace"`,
      'Use lower-case letters and digits.',
    );
  return { kind, name, namespace };
}

/** The document's text with its comments, without the markers and blank lines around it, and where it begins. */
function ownText(document: Document.Parsed, text: string): { readonly text: string; readonly offset: number } {
  const [start, , end] = document.range;
  const whole = text.slice(start, end);
  const blank = /^(?:[^\S\n]*\n)*(?:---[^\S\n]*\n)?(?:[^\S\n]*\n)*/.exec(whole)?.[0].length ?? 0;
  const own = whole.slice(blank).replace(/\n(?:---|\.\.\.)[^\S\n]*\n?$/, '\n');
  return { text: `${own.trimEnd()}\n`, offset: start + blank };
}

function itemsOf(value: unknown): readonly unknown[] | undefined {
  const { kind, items } = fields(value);
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items) ? items : undefined;
}

function withNamespace(value: unknown, namespace: string): unknown {
  const { apiVersion, kind, metadata, ...rest } = fields(value);
  return { apiVersion, kind, metadata: { ...fields(metadata), namespace }, ...rest };
}

function manifestsOf(written: ManifestFile, namespace: string, leaveOut: LeaveOut): readonly Manifest[] {
  const { file, text } = written;
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { ...YAML_OPTIONS, lineCounter: lines });
  const documents = Array.isArray(parsed)
    ? (parsed as readonly Document.Parsed[]).filter((one) => isDocument(one))
    : [];
  return documents.flatMap((document): readonly Manifest[] => {
    const [fault] = syntaxIssues(document, lines, text);
    const line = lines.linePos(document.contents?.range[0] ?? document.range[0]).line;
    if (fault !== undefined)
      throw invalid(file, fault.line, fault.message, fault.remedy ?? 'Correct the YAML syntax at this line.');
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (value === null || value === undefined) return [];
    const items = itemsOf(value);
    if (items !== undefined)
      return items.flatMap((item): readonly Manifest[] => {
        if (leaveOut(item, written)) return [];
        const named = nameOf(item, file, line);
        const inNamespace = named.namespace ?? namespace;
        const body = stringify(withNamespace(item, inNamespace));
        // Written anew: only the list itself has a place.
        return [
          {
            ...named,
            namespace: inNamespace,
            text: body,
            source: { file, line },
            lines: { first: line, added: undefined },
          },
        ];
      });
    if (leaveOut(value, written)) return [];
    const named = nameOf(value, file, line);
    const source = { file, line };
    const own = ownText(document, text);
    const first = lines.linePos(own.offset).line;
    if (named.namespace !== undefined)
      return [{ ...named, namespace: named.namespace, text: own.text, source, lines: { first, added: undefined } }];
    const isWritten = isMap(document.get('metadata', true));
    if (isWritten) document.setIn(['metadata', 'namespace'], namespace);
    const body = isWritten ? document.toString({ directives: false }) : stringify(withNamespace(value, namespace));
    const added = body.split('\n').findIndex((one) => /^\s+namespace: /.test(one)) + 1;
    return [{ ...named, namespace, text: body, source, lines: { first, added: added === 0 ? undefined : added } }];
  });
}

/**
 * The resources of some files.
 * @param namespace of resources that name none
 * @throws TrysailError `FLEET_MANIFEST` with the place of the first fault
 */
export function readManifests(
  files: readonly ManifestFile[],
  namespace: string,
  leaveOut: LeaveOut = () => false,
): readonly Manifest[] {
  const manifests = files.flatMap((file) => manifestsOf(file, namespace, leaveOut));
  const seen = new Map<string, Manifest>();
  for (const one of manifests) {
    const { file, line } = one.source;
    const key = `${one.kind} ${one.namespace}/${one.name}`;
    const first = seen.get(key);
    if (first !== undefined)
      throw invalid(
        file,
        line,
        `${key} stands in ${first.source.file}:${first.source.line} already`,
        'Remove or rename one of the two.',
      );
    seen.set(key, one);
    if (Buffer.byteLength(one.text) > FLEET_LIMITS.bodyBytes)
      throw invalid(file, line, `${key} is larger than ${FLEET_LIMITS.bodyBytes} bytes`, 'Split it into several.');
  }
  return manifests;
}

/**
 * The resources of the files that `paths` name, as `readResourceFiles` finds them (`-` is standard input), and what was
 * passed over there as another program's.
 * @param namespace of resources that name none
 * @throws TrysailError `RESOURCES_UNREADABLE`, `FLEET_MANIFEST`
 */
export async function readManifestsIn(
  paths: readonly string[],
  namespace: string,
): Promise<{ readonly manifests: readonly Manifest[]; readonly passedOver: readonly Diagnostic[] }> {
  const { files, charts } = await readResourceFiles(paths);
  const passedOver = collectPassedOver(charts);
  const manifests = readManifests(files, namespace, passedOver.skip);
  refuseNothing(paths, passedOver);
  return { manifests, passedOver: passedOver.diagnostics() };
}
