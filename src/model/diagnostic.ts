/**
 * What is wrong, as data. A faulty resource, a rejected Envoy resource or a suspicious catalogue entry becomes a
 * `Diagnostic` and never an exception, so that it cannot take anything else down.
 */

export type Severity = 'error' | 'warning' | 'info';

export interface SourceLocation {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
}

export interface Diagnostic {
  /** Stable: `IST…` where Istio has a code for it, else `TRY…`; all of them stand in `diagnostic-codes.ts`. */
  readonly code: string;
  readonly severity: Severity;
  /** What it is about, such as `VirtualService default/reviews` or `cluster outbound|9080||reviews.default.mesh`. */
  readonly object?: string;
  /** Where inside of the object, such as `spec.http[0].timeout`. */
  readonly path?: string;
  readonly source?: SourceLocation;
  /** Names the value and the rule. */
  readonly message: string;
  /** What to do about it, one imperative sentence. */
  readonly remedy?: string;
}

const ORDER: Readonly<Record<Severity, number>> = { error: 0, warning: 1, info: 2 };

/** By code units: the same on every host, whatever its language. */
function compareText(a = '', b = ''): number {
  return a < b ? -1 : Number(a > b);
}

/** Most severe first, then by file, line, code, object, path and message: a total order, as people read them. */
export function compareDiagnostics(a: Diagnostic, b: Diagnostic): number {
  return (
    ORDER[a.severity] - ORDER[b.severity] ||
    compareText(a.source?.file, b.source?.file) ||
    (a.source?.line ?? 0) - (b.source?.line ?? 0) ||
    compareText(a.code, b.code) ||
    compareText(a.object, b.object) ||
    compareText(a.path, b.path) ||
    compareText(a.message, b.message)
  );
}

/** One line for a terminal: `reviews.yaml:12: error IST0106 VirtualService default/reviews spec.http[0]: … Remedy.` */
export function formatDiagnostic(d: Diagnostic): string {
  const place = d.source === undefined ? '' : `${d.source.file}:${d.source.line}: `;
  const about = [d.object, d.path].filter((part) => part !== undefined).join(' ');
  const message = /[.!?]$/.test(d.message) ? d.message : `${d.message}.`;
  return `${place}${d.severity} ${d.code}${about === '' ? '' : ` ${about}`}: ${message}${d.remedy === undefined ? '' : ` ${d.remedy}`}`;
}
