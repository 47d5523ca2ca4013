/** Findings at the lines of what they are about: rules know resources, and not where each part of one was written. */
import { type Path, parseYamlDocuments, type YamlDocument } from '../lib/yaml-document.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { ResourceFile } from '../sources/resource-reader.ts';

const STEP = /\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([A-Za-z_][\w-]*)/g;

/** `spec.http[0].match["x.y"]`, as diagnostics name places, taken apart. */
export function parsePath(text: string): Path {
  return [...text.matchAll(STEP)].map(([, index, quoted, name]) =>
    index === undefined ? (quoted === undefined ? (name ?? '') : String(JSON.parse(`"${quoted}"`))) : Number(index),
  );
}

interface Begun {
  readonly document: YamlDocument;
  /** Where in the document the resource stands: in a `List`. */
  readonly base: Path;
  readonly line: number;
}

/** The resources of a file with the lines on which they begin, in order. */
function resourcesIn({ file, text }: ResourceFile): readonly Begun[] {
  return parseYamlDocuments(text, file).flatMap((document): readonly Begun[] => {
    const { value, line } = document;
    const items: unknown = typeof value === 'object' && value !== null && 'items' in value ? value.items : undefined;
    if (!Array.isArray(items)) return [{ document, base: [], line }];
    return items.map((_, i): Begun => ({ document, base: ['items', i], line: document.lineOf(['items', i]) }));
  });
}

/**
 * The same findings; those whose path says more than their line have the line of the path. Of a path that is not written
 * so, it is the line of the nearest part around it that is.
 */
export function located(diagnostics: readonly Diagnostic[], files: readonly ResourceFile[]): readonly Diagnostic[] {
  const byName = new Map(files.map((file) => [file.file, file]));
  const read = new Map<string, readonly Begun[]>();
  return diagnostics.map((diagnostic) => {
    const { path, source, object } = diagnostic;
    const file = source === undefined ? undefined : byName.get(source.file);
    if (file === undefined || source === undefined || path === undefined || object === undefined) return diagnostic;
    const begun = read.get(file.file) ?? resourcesIn(file);
    read.set(file.file, begun);
    const resource = begun.findLast(({ line }) => line <= source.line);
    if (resource === undefined || path.startsWith('items[')) return diagnostic;
    const line = resource.document.lineOf([...resource.base, ...parsePath(path)]);
    return line > source.line ? { ...diagnostic, source: { ...source, line } } : diagnostic;
  });
}
