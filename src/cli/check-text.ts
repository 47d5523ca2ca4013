/** `trysail check` for people: one line a check with what was looked at, its findings below it, a verdict at the end. */
import type { HostReport } from '../agent/check-host.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { printable } from './output.ts';
import type { Style } from './status-text.ts';

type Check = HostReport['checks'][number];

const MARKS: Readonly<Record<Check['state'], string>> = { ok: '✓', warning: '!', error: '✗', skipped: '–' };
const WORDS: Readonly<Record<Diagnostic['severity'], string>> = { error: 'error', warning: 'warning', info: 'note' };
/** Where a terminal does not say its width. */
const WIDTH = 120;
const NARROWEST = 60;
const KEPT_BLANK = '\u00a0';

/** Breaks a text between words, so that it is at most `width` wide. */
function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

const indent = (by: number, lines: readonly string[]): readonly string[] =>
  lines.map((line) => `${' '.repeat(by)}${line}`);

function paint(state: Check['state'] | Diagnostic['severity'], style: Style): (text: string) => string {
  if (state === 'error') return (text) => style.bad(text);
  if (state === 'warning') return (text) => style.doubtful(text);
  return state === 'ok' ? (text) => style.good(text) : (text) => style.faint(text);
}

function findingLines(found: Diagnostic, width: number, style: Style): readonly string[] {
  const { severity, code, source, object, path, message, remedy } = found;
  const place = source === undefined ? '' : `${source.file}:${source.line}: `;
  const about = [object, path].filter((part) => part !== undefined).join(' ');
  const word = WORDS[severity];
  const [first = '', ...rest] = wrap(
    printable(`${word} ${code} ${place}${about === '' ? '' : `${about}: `}${message}`),
    width - 4,
  );
  return [
    ...indent(4, [paint(severity, style)(first.slice(0, word.length)) + first.slice(word.length), ...rest]),
    ...(remedy === undefined
      ? []
      : indent(6, wrap(printable(remedy), width - 8)).map(
          (line, i) => `${i === 0 ? '    → ' : '      '}${line.trimStart()}`,
        )),
  ];
}

function checkLines(check: Check, nameWidth: number, width: number, style: Style): readonly string[] {
  const { state, name, facts, findings } = check;
  const column = nameWidth + 4;
  // Lines end between facts, not inside of one.
  const whole = facts.map((fact) => printable(fact).replaceAll(' ', KEPT_BLANK)).join(' · ');
  const [first = '', ...rest] = wrap(whole, Math.max(width - column, NARROWEST / 2)).map((line) =>
    line.replaceAll(KEPT_BLANK, ' '),
  );
  const colour = paint(state, style);
  const dim = (text: string): string => (state === 'skipped' ? style.faint(text) : text);
  return [
    `${colour(MARKS[state])} ${dim(name.padEnd(nameWidth))}  ${dim(first)}`.trimEnd(),
    ...indent(column, rest).map(dim),
    ...findings.flatMap((found) => findingLines(found, width, style)),
  ];
}

const counted = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;

function verdict({ checks, host }: HostReport, style: Style): string {
  const all = checks.flatMap(({ findings }) => findings);
  const errors = all.filter(({ severity }) => severity === 'error').length;
  const warnings = all.filter(({ severity }) => severity === 'warning').length;
  const skipped = checks.filter(({ state }) => state === 'skipped').length;
  const about = `${counted(checks.length - skipped, 'check')}${skipped === 0 ? '' : `, ${skipped} skipped`}`;
  const what = host ?? 'this host';
  if (errors > 0)
    return style.bad(`${what}: ${counted(errors, 'error')} and ${counted(warnings, 'warning')} in ${about}.`);
  if (warnings > 0) return style.doubtful(`${what}: ${counted(warnings, 'warning')} and no errors in ${about}.`);
  return style.good(`${what}: nothing is wrong in ${about}.`);
}

/** The whole report, ending in a line break. `columns`: of the terminal; undefined: it is none. */
export function checkText(report: HostReport, style: Style, columns: number | undefined): string {
  // Lines of a file or pipe are left whole, for grep.
  const width = columns === undefined ? Number.POSITIVE_INFINITY : Math.max(NARROWEST, Math.min(columns, WIDTH));
  const nameWidth = Math.max(...report.checks.map(({ name }) => name.length));
  const lines = report.checks.flatMap((check) => checkLines(check, nameWidth, width, style));
  return `${[...lines, '', verdict(report, style)].join('\n')}\n`;
}
