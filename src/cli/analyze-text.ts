/** Findings for people: by file, most severe first, with a verdict; and as annotations of GitHub's. */
import type { Diagnostic, Severity } from '../model/diagnostic.ts';
import { printable } from './output.ts';
import type { Style } from './status-text.ts';

const WORDS: Readonly<Record<Severity, string>> = { error: 'error', warning: 'warning', info: 'note' };
const RANKS: Readonly<Record<Severity, number>> = { error: 0, warning: 1, info: 2 };

const counted = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;

function paint(severity: Severity, style: Style): (text: string) => string {
  if (severity === 'error') return (text) => style.bad(text);
  return severity === 'warning' ? (text) => style.doubtful(text) : (text) => style.faint(text);
}

function lines({ code, severity, object, path, source, message, remedy }: Diagnostic, style: Style): readonly string[] {
  const about = [object, path].filter((part) => part !== undefined).join(' ');
  const line = source === undefined ? '' : String(source.line);
  const word = paint(severity, style)(WORDS[severity].padEnd(7));
  return [
    `  ${line.padStart(4)}  ${word}  ${code.padEnd(7)}  ${printable(`${about === '' ? '' : `${about}: `}${message}`)}`,
    ...(remedy === undefined ? [] : [`        ${style.faint('→')} ${printable(remedy)}`]),
  ];
}

function verdict(diagnostics: readonly Diagnostic[], style: Style): string {
  const of = (severity: Severity): number => diagnostics.filter((one) => one.severity === severity).length;
  const [errors, warnings, notes] = [of('error'), of('warning'), of('info')];
  const all = [
    ...(errors > 0 ? [counted(errors, 'error')] : []),
    ...(warnings > 0 ? [counted(warnings, 'warning')] : []),
    ...(notes > 0 ? [counted(notes, 'note')] : []),
  ];
  if (all.length === 0) return style.good('Nothing is wrong.');
  const text = `${all.join(', ')}.`;
  return errors > 0 ? style.bad(text) : warnings > 0 ? style.doubtful(text) : text;
}

/** All findings below the names of their files, ending in a line break. */
export function findingsText(diagnostics: readonly Diagnostic[], style: Style): string {
  const byFile = new Map<string, Diagnostic[]>();
  for (const diagnostic of diagnostics) {
    const file = diagnostic.source?.file ?? '';
    byFile.set(file, [...(byFile.get(file) ?? []), diagnostic]);
  }
  const blocks = [...byFile]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([file, found]) => {
      const sorted = found.toSorted(
        (a, b) => (a.source?.line ?? 0) - (b.source?.line ?? 0) || RANKS[a.severity] - RANKS[b.severity],
      );
      return [style.heading(file === '' ? 'In general' : file), ...sorted.flatMap((one) => lines(one, style))].join(
        '\n',
      );
    });
  return `${[...blocks, verdict(diagnostics, style)].join('\n\n')}\n`;
}

const COMMANDS: Readonly<Record<Severity, string>> = { error: 'error', warning: 'warning', info: 'notice' };

function escaped(text: string, property: boolean): string {
  const data = text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
  return property ? data.replaceAll(':', '%3A').replaceAll(',', '%2C') : data;
}

/**
 * One line each, which GitHub shows beside the line of the file.
 * https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
 */
export function annotations(diagnostics: readonly Diagnostic[]): string {
  return diagnostics
    .map(({ code, severity, object, path, source, message, remedy }) => {
      const place = source === undefined ? '' : `file=${escaped(source.file, true)},line=${source.line},`;
      const about = [object, path].filter((part) => part !== undefined).join(' ');
      const text = `${about === '' ? '' : `${about}: `}${message}.${remedy === undefined ? '' : ` ${remedy}`}`;
      return `::${COMMANDS[severity]} ${place}title=${code}::${escaped(printable(text), false)}\n`;
    })
    .join('');
}
