/** What one kind of resource is: its versions, its schema, what of it is not supported, and how it becomes the model. */
import * as z from 'zod/mini';
import { shownValue } from '../../lib/shown-value.ts';
import { checkAgainst, formatPath, type Path, type YamlDocument } from '../../lib/yaml-document.ts';
import type { Severity, SourceLocation } from '../../model/diagnostic.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';
import { normaliseKeys } from '../key-spelling.ts';
import { findUnsupported, type UnsupportedField } from '../unsupported-fields.ts';

/** What is wrong with one resource, before it is known which resource that is. */
export interface ResourceIssue {
  readonly code: string;
  readonly severity: Severity;
  readonly path: string;
  readonly line: number;
  readonly message: string;
  readonly remedy?: string;
}

/** Reports that a rule which the schema cannot say is broken: `IST0106` unless said otherwise. */
export type Report = (
  path: Path,
  message: string,
  remedy?: string,
  kind?: { readonly code: string; readonly severity: Severity },
) => void;

export interface KindDefinition<S extends z.core.$ZodType, Out> {
  readonly kind: string;
  readonly apiVersions: readonly string[];
  /** The whole shape of `spec` as its API documents it. */
  readonly schema: S;
  /** What of that shape is not supported. */
  readonly unsupported: readonly UnsupportedField[];
  /** The model's form; called only with a `spec` that passes the schema and uses nothing that is refused. */
  readonly build: (
    meta: ResourceMeta,
    spec: z.output<S>,
    report: Report,
    /** Where something of the spec was written. */
    locate: (path: Path) => SourceLocation,
  ) => Out;
}

/** A kind whose types are forgotten: what the reader of files works with. */
export interface Kind<Out> {
  readonly kind: string;
  readonly apiVersions: readonly string[];
  /** Of `spec`. */
  readonly schema: z.core.$ZodType;
  readonly unsupported: readonly UnsupportedField[];
  /** Never throws. `resource` is undefined when an issue is an error. */
  read(
    meta: ResourceMeta,
    spec: unknown,
    document: Pick<YamlDocument, 'lineOf'>,
    base: Path,
  ): { readonly resource: Out | undefined; readonly issues: readonly ResourceIssue[] };
}

export const NETWORKING_VERSIONS: readonly string[] = [
  'networking.istio.io/v1',
  'networking.istio.io/v1beta1',
  'networking.istio.io/v1alpha3',
];

/** Makes the reader of a kind from its definition. */
export function defineKind<S extends z.core.$ZodType, Out>(definition: KindDefinition<S, Out>): Kind<Out> {
  const { kind, apiVersions, schema, unsupported, build } = definition;
  return {
    kind,
    apiVersions,
    schema,
    unsupported,
    read(meta, spec, document, base) {
      const normal = normaliseKeys(schema, spec ?? {});
      const checked = checkAgainst(schema, normal, document, base);
      const issues: ResourceIssue[] = checked.issues.map((issue) => ({ code: 'IST0106', severity: 'error', ...issue }));
      for (const { field, path, value } of findUnsupported(unsupported, normal)) {
        const at = [...base, ...path];
        const name = path.findLast((step) => typeof step === 'string') ?? '';
        const given = field.only ?? field.except ?? field.matching;
        const use = given === undefined ? `"${name}"` : `"${name}" with the value ${shownValue(value)}`;
        issues.push({
          code: field.effect === 'refused' ? 'TRY0003' : 'TRY0005',
          severity: field.effect === 'refused' ? 'error' : 'warning',
          path: formatPath(at),
          line: document.lineOf(at),
          message:
            field.effect === 'refused'
              ? `${use} ${field.why ?? "is part of Istio's API and not supported yet"}`
              : `${use} has no effect here`,
          remedy: field.remedy,
        });
      }
      if (!('value' in checked) || issues.some((issue) => issue.severity === 'error'))
        return { resource: undefined, issues };
      const report: Report = (path, message, remedy, { code, severity } = { code: 'IST0106', severity: 'error' }) => {
        const at = [...base, ...path];
        const issue = { code, severity, path: formatPath(at), line: document.lineOf(at), message };
        issues.push(remedy === undefined ? issue : { ...issue, remedy });
      };
      const locate = (path: Path): SourceLocation => ({
        file: meta.source.file,
        line: document.lineOf([...base, ...path]),
      });
      const resource = build(meta, checked.value, report, locate);
      return { resource: issues.some((issue) => issue.severity === 'error') ? undefined : resource, issues };
    },
  };
}

/** A deprecated spelling that is still understood. */
export const DEPRECATED = { code: 'IST0002', severity: 'warning' } as const;
/** Known and not supported, for what a table cannot say. */
export const UNSUPPORTED = { code: 'TRY0003', severity: 'error' } as const;
/** Known, and without effect where it stands. */
export const WITHOUT_EFFECT = { code: 'TRY0005', severity: 'warning' } as const;
/** Applied, without what it says there. */
export const SCHEMA_WARNING = { code: 'IST0133', severity: 'warning' } as const;
