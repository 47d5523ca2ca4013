/**
 * YAML text that still knows its lines, and its check against a schema: every complaint has a path, a line and a remedy.
 * Used for Istio resources, for agent.yaml and for meshconfig.yaml alike.
 */
import { type Document, isCollection, isMap, isScalar, LineCounter, parseAllDocuments } from 'yaml';
import * as z from 'zod/mini';
import english from 'zod/v4/locales/en.js';
import { errorMessage } from './errors.ts';
import { wordFault } from './fault-wording.ts';
import { nearest } from './nearest.ts';
import { parserFault, syntaxIssues, YAML_OPTIONS } from './yaml-syntax.ts';

z.config(english());

/** Aliases in one file may expand to at most this many nodes (the "billion laughs" attack). */
const MAX_ALIASES = 100;

export type Path = readonly (string | number)[];

/** One complaint about a document. */
export interface YamlIssue {
  /** Such as `spec.http[0].timeout`; empty for the document as a whole. */
  readonly path: string;
  /** 1-based line in the file. */
  readonly line: number;
  readonly message: string;
  readonly remedy?: string;
}

/** One YAML document of a file. */
export interface YamlDocument {
  readonly file: string;
  /** 1-based line on which its content starts. */
  readonly line: number;
  /** Plain data; undefined when the document has syntax errors. */
  readonly value: unknown;
  /** Syntax errors. */
  readonly issues: readonly YamlIssue[];
  /** The line of the node at `path` (keys in either spelling of `camelCase`), or of the nearest ancestor that exists. */
  lineOf(path: Path): number;
  /** Whether there is a key at `path`, and nothing behind it. */
  isEmpty(path: Path): boolean;
}

/** `per_try_timeout` → `perTryTimeout`: the two spellings that protobuf's JSON form has for a field. */
export function camelCase(key: string): string {
  return key.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function isKey(key: unknown, step: string | number): boolean {
  if (!isScalar(key)) return false;
  const name = String(key.value);
  return name === String(step) || camelCase(name) === step;
}

function lineOfPath(document: Document.Parsed, lines: LineCounter, path: Path): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range[0] ?? document.range[0];
  for (const step of path) {
    if (!isCollection(node)) break;
    if (isMap(node)) {
      const pair = node.items.find((item) => isKey(item.key, step));
      if (pair === undefined) break;
      if (isScalar(pair.key) && pair.key.range) offset = pair.key.range[0];
      node = pair.value;
    } else {
      node = node.get(step, true);
      if (isCollection(node) || isScalar(node)) offset = node.range?.[0] ?? offset;
    }
  }
  return lines.linePos(offset).line;
}

function failedDocument(file: string, thrown: unknown): YamlDocument {
  const issue = { path: '', line: 1, ...parserFault(errorMessage(thrown), 'Make the document simpler.') };
  return { file, line: 1, value: undefined, issues: [issue], lineOf: () => 1, isEmpty: () => false };
}

function isEmptyAt(document: Document.Parsed, path: Path): boolean {
  let node: unknown = document.contents;
  for (const step of path) {
    if (!isCollection(node)) return false;
    const pair = isMap(node) ? node.items.find((item) => isKey(item.key, step)) : undefined;
    if (isMap(node) && pair === undefined) return false;
    node = pair === undefined ? node.get(step, true) : pair.value;
  }
  return node === null || (isScalar(node) && node.value === null);
}

/** Nothing between two markers, or comments alone, are a null of no length. */
function isEmpty(contents: unknown): boolean {
  return contents === null || (isScalar(contents) && contents.value === null);
}

/** Splits a file into its documents; empty ones are left out. Never throws: syntax errors are issues of a document. */
export function parseYamlDocuments(text: string, file: string): readonly YamlDocument[] {
  const lines = new LineCounter();
  let documents: readonly Document.Parsed[];
  try {
    const parsed = parseAllDocuments(text, { ...YAML_OPTIONS, lineCounter: lines });
    documents = Array.isArray(parsed) ? parsed : [];
  } catch (error) {
    return [failedDocument(file, error)];
  }
  return documents
    .filter((document) => document.errors.length > 0 || !isEmpty(document.contents))
    .map((document) => {
      const line = lineOfPath(document, lines, []);
      const issues: YamlIssue[] = [];
      let value: unknown;
      try {
        issues.push(...syntaxIssues(document, lines, text));
        if (issues.length === 0) value = document.toJS({ maxAliasCount: MAX_ALIASES });
      } catch (error) {
        issues.push({ path: '', line, ...parserFault(errorMessage(error), 'Use fewer or no aliases.') });
      }
      return {
        file,
        line,
        value,
        issues,
        lineOf: (path) => lineOfPath(document, lines, path),
        isEmpty: (path) => isEmptyAt(document, path),
      };
    });
}

/** `['spec', 'http', 0, 'timeout']` → `spec.http[0].timeout`. */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** The keys that a schema knows at a path, through optional wrappers, arrays, records and unions. */
function knownKeys(schema: z.core.$ZodType, path: Path): readonly string[] {
  const def = (schema as z.core.$ZodTypes)._zod.def;
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
    case 'nonoptional':
    case 'catch':
      return knownKeys(def.innerType, path);
    case 'pipe':
      return knownKeys(def.in, path);
    case 'lazy':
      return knownKeys(def.getter(), path);
    case 'union':
      return def.options.flatMap((option) => knownKeys(option, path));
    case 'array':
      return typeof path[0] === 'number' ? knownKeys(def.element, path.slice(1)) : [];
    case 'record':
      return path.length > 0 ? knownKeys(def.valueType, path.slice(1)) : [];
    case 'object': {
      const [head, ...rest] = path;
      if (head === undefined) return Object.keys(def.shape);
      const child = Object.hasOwn(def.shape, head) ? def.shape[head] : undefined;
      return child === undefined ? [] : knownKeys(child, rest);
    }
    default:
      return [];
  }
}

/** A key without a value beside an unknown one that it could have: what wrong indentation makes of the two. */
function emptyOwner(
  schema: z.core.$ZodType,
  document: Checkable,
  base: Path,
  path: Path,
  unknown: string,
): string | undefined {
  const inside = path.slice(base.length);
  return knownKeys(schema, inside).find(
    (key) => document.isEmpty?.([...path, key]) === true && knownKeys(schema, [...inside, key]).includes(unknown),
  );
}

/** What a check asks of a document. */
export type Checkable = Pick<YamlDocument, 'lineOf'> & Partial<Pick<YamlDocument, 'isEmpty'>>;

export type Checked<T> =
  | { readonly value: T; readonly issues: readonly [] }
  | { readonly issues: readonly YamlIssue[] };

/** The innermost complaints of a failed union are those of the alternative that got furthest. */
function flattenIssue(
  issue: z.core.$ZodIssue,
  base: Path,
): { readonly path: Path; readonly issue: z.core.$ZodIssue }[] {
  const path = [...base, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [{ path, issue }];
  const depth = (alternative: readonly z.core.$ZodIssue[]): number =>
    Math.max(0, ...alternative.map((i) => i.path.length));
  const best = issue.errors.toSorted((a, b) => depth(b) - depth(a) || a.length - b.length)[0];
  if (best === undefined || depth(best) === 0) return [{ path, issue }];
  return best.flatMap((inner) => flattenIssue(inner, path));
}

/**
 * Checks a part of a document against a schema (strict objects report unknown keys with the nearest known one). A
 * check of the schema can give its remedy as `params: { remedy }` of a custom issue.
 * @param base where in the document `value` stands, for paths and lines
 */
export function checkAgainst<S extends z.core.$ZodType>(
  schema: S,
  value: unknown,
  document: Checkable,
  base: Path = [],
): Checked<z.output<S>> {
  const result = z.safeParse(schema, value, { reportInput: true });
  if (result.success) return { value: result.data, issues: [] };
  const issues = result.error.issues.flatMap((raw) =>
    flattenIssue(raw, base).flatMap(({ path, issue }): YamlIssue[] => {
      if (issue.code === 'unrecognized_keys') {
        const known = knownKeys(schema, path.slice(base.length));
        return issue.keys.map((key) => {
          const suggestion = nearest(key, known);
          const above = suggestion === undefined ? emptyOwner(schema, document, base, path, key) : undefined;
          return {
            path: formatPath([...path, key]),
            line: document.lineOf([...path, key]),
            message: `unknown key "${key}"`,
            remedy:
              above !== undefined
                ? `It belongs to "${above}": indent it further than that.`
                : suggestion === undefined
                  ? `Known keys here: ${known.toSorted().join(', ')}.`
                  : `Did you mean "${suggestion}"?`,
          };
        });
      }
      return [{ path: formatPath(path), line: document.lineOf(path), ...wordFault(path, issue) }];
    }),
  );
  return { issues };
}
