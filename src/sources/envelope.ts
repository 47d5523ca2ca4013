/** The envelope that all resources share: which kind a document is, what it is called, how old it is. */
import * as z from 'zod/mini';
import { nearest } from '../lib/nearest.ts';
import { shownValue } from '../lib/shown-value.ts';
import { checkAgainst, formatPath, type Path, type YamlDocument } from '../lib/yaml-document.ts';
import { DEFAULT_NAMESPACE } from '../model/host-names.ts';
import { labels } from './field-types.ts';
import { isOfKubernetes } from './foreign-documents.ts';
import type { ResourceIssue } from './kinds/kind.ts';
import { KINDS, UNSUPPORTED_KINDS } from './kinds.ts';

export interface Envelope {
  readonly kind: string;
  readonly apiVersion: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `metadata.creationTimestamp` in milliseconds since 1970. */
  readonly createdMs: number | undefined;
  /** Codes of analysis that are not to be told of it; undefined: none is named. */
  readonly suppressed: readonly string[] | undefined;
}

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

function named(pattern: RegExp): z.ZodMiniType<string, string> {
  return z.string().check(
    z.refine((text: string) => pattern.test(text), {
      error: ({ input }) => `${shownValue(input)} is not a valid name`,
      params: { remedy: 'Use lower-case letters, digits and "-", beginning and ending with a letter or digit.' },
    }),
  );
}

/** Istio's annotation for findings that are known: codes with commas between, `*` for all. */
const SUPPRESS = 'galley.istio.io/analyze-suppress';

/** Annotations are everybody's: one of another form is no fault of the resource. */
function suppressedBy(metadata: unknown): readonly string[] | undefined {
  const text = asText(member(member(metadata, 'annotations'), SUPPRESS));
  const codes = text?.split(',').flatMap((code) => (code.trim() === '' ? [] : code.trim()));
  return codes === undefined || codes.length === 0 ? undefined : codes;
}

/** Kubernetes writes much more into metadata than anybody here reads. */
const metadata = z.looseObject({
  name: named(NAME),
  namespace: z.nullish(named(NAMESPACE)),
  labels: z.nullish(labels),
  creationTimestamp: z.nullish(
    z.string().check(
      z.refine((text: string) => !Number.isNaN(Date.parse(text)), {
        error: ({ input }) => `${shownValue(input)} is not a time`,
        params: { remedy: 'Write it as 2026-01-31T12:00:00Z, or leave it out.' },
      }),
    ),
  ),
});

const schema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata,
  spec: z.optional(z.unknown()),
  status: z.optional(z.unknown()),
});

function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined;
}

/**
 * What a document claims to be, as far as it can be read at all: `kind/namespace/name`. Also of faulty documents, so
 * that their last good version can be found.
 */
export function resourceKey(value: unknown): string | undefined {
  const kind = asText(member(value, 'kind'));
  const name = asText(member(member(value, 'metadata'), 'name'));
  const namespace = asText(member(member(value, 'metadata'), 'namespace')) ?? DEFAULT_NAMESPACE;
  return kind === undefined || name === undefined ? undefined : `${kind}/${namespace}/${name}`;
}

/** Kinds of an API group, those that are not supported among them. */
function kindsOf(group: string): readonly string[] {
  return [
    ...Object.entries(KINDS).flatMap(([kind, { apiVersions }]) =>
      apiVersions.some((one) => one.startsWith(`${group}/`)) ? [kind] : [],
    ),
    ...Object.entries(UNSUPPORTED_KINDS).flatMap(([kind, its]) => (its === group ? [kind] : [])),
  ];
}

function kindIssue(kind: string, apiVersion: string): Omit<ResourceIssue, 'line'> | undefined {
  const group = apiVersion.split('/')[0] ?? '';
  if (Object.hasOwn(UNSUPPORTED_KINDS, kind) && group === UNSUPPORTED_KINDS[kind])
    return {
      code: 'TRY0003',
      severity: 'error',
      path: 'kind',
      message: `the kind ${kind} is part of Istio's API and not supported yet`,
      remedy: 'Remove the resource: it protects and changes nothing.',
    };
  const known = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (isOfKubernetes(kind, apiVersion))
    return {
      code: 'TRY0002',
      severity: 'error',
      path: 'apiVersion',
      message: `${kind} (${apiVersion}) is a kind of Kubernetes, which means nothing here`,
      remedy:
        known === undefined
          ? 'Remove the resource.'
          : `Remove the resource, or describe the same by a ${kind} of ${known.apiVersions[0] ?? ''}.`,
    };
  if (known === undefined) {
    const suggestion = nearest(kind, kindsOf(group));
    return {
      code: 'TRY0002',
      severity: 'error',
      path: 'kind',
      message: `"${kind}" (${apiVersion}) is not a kind that is known`,
      remedy:
        suggestion === undefined ? `Use one of: ${Object.keys(KINDS).join(', ')}.` : `Did you mean "${suggestion}"?`,
    };
  }
  if (known.apiVersions.includes(apiVersion)) return undefined;
  return {
    code: 'TRY0002',
    severity: 'error',
    path: 'apiVersion',
    message: `"${apiVersion}" is not a version of ${kind}`,
    remedy: `Use one of: ${known.apiVersions.join(', ')}.`,
  };
}

/** Reads a document's envelope, or says what is wrong with it. `base` is where in the document it stands (a `List`). */
export function readEnvelope(
  value: unknown,
  document: Pick<YamlDocument, 'lineOf'>,
  base: Path,
): { readonly envelope?: Envelope; readonly issues: readonly ResourceIssue[] } {
  const kind = asText(member(value, 'kind'));
  const apiVersion = asText(member(value, 'apiVersion'));
  if (kind !== undefined && apiVersion !== undefined) {
    const issue = kindIssue(kind, apiVersion);
    if (issue !== undefined) {
      const at = [...base, issue.path];
      return { issues: [{ ...issue, path: formatPath(at), line: document.lineOf(at) }] };
    }
  }
  const checked = checkAgainst(schema, value, document, base);
  if (!('value' in checked))
    return { issues: checked.issues.map((i) => ({ code: 'IST0106', severity: 'error', ...i })) };
  const { metadata: meta } = checked.value;
  return {
    envelope: {
      kind: checked.value.kind,
      apiVersion: checked.value.apiVersion,
      namespace: meta.namespace ?? DEFAULT_NAMESPACE,
      name: meta.name,
      labels: meta.labels ?? {},
      suppressed: suppressedBy(meta),
      createdMs: meta.creationTimestamp ? Date.parse(meta.creationTimestamp) : undefined,
    },
    issues: [],
  };
}
