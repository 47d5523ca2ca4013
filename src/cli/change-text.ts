/** What a change of the fleet's configuration did, or would do, as text. */
import type { ResourceChange } from '../fleet/plan.ts';
import { type Diagnostic, formatDiagnostic } from '../model/diagnostic.ts';
import { lineDiff } from './line-diff.ts';
import { printable, printableLines } from './output.ts';

const nameOf = ({ kind, namespace, name }: ResourceChange): string => `${kind} ${namespace}/${name}`;

/** One line a resource: `changed    VirtualService shop/reviews`. */
export function changeLines(changes: readonly ResourceChange[]): readonly string[] {
  return changes.map((change) => `${change.action.padEnd(9)}  ${nameOf(change)}`);
}

/** The differences of the resources that change. */
export function diffLines(changes: readonly ResourceChange[]): readonly string[] {
  return changes
    .filter(({ action }) => action !== 'unchanged')
    .flatMap((change) => [
      `${change.action} ${nameOf(change)}`,
      ...lineDiff(change.before, change.after).map((line) => `  ${printable(line) === '' ? '' : printableLines(line)}`),
      '',
    ]);
}

/** `shop is at revision 12.` */
export function revisionLines(revisions: Readonly<Record<string, number>>): readonly string[] {
  return Object.entries(revisions).map(([namespace, revision]) => `${namespace} is at revision ${revision}.`);
}

/** What is doubtful or wrong, for standard error. */
export function diagnosticText(diagnostics: readonly Diagnostic[]): string {
  return diagnostics.map((one) => `${printable(formatDiagnostic(one))}\n`).join('');
}

/** A change without the texts of the resources, for `-o json`. */
export function changeSummary({ action, kind, namespace, name }: ResourceChange): object {
  return { action, kind, namespace, name };
}
