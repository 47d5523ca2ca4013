/** The `-o` option of reading commands: text for people, JSON or YAML for programs. */
import { Option } from 'commander';

export type OutputFormat = 'text' | 'json' | 'yaml';

/** `-o text|json|yaml`. */
export function outputOption(): Option {
  return new Option('-o, --output <format>', 'How to print the answer.')
    .choices(['text', 'json', 'yaml'])
    .default('text');
}

/** A value as JSON or YAML, ending in a line break. */
export async function serialise(value: unknown, format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return `${JSON.stringify(value, undefined, 2)}\n`;
  const { stringify } = await import('yaml');
  // YAML 1.1 quotes "no" and "on", which most readers would otherwise take for booleans.
  return stringify(value, { version: '1.1', aliasDuplicateObjects: false });
}

// Control characters could move the cursor or change the terminal; format characters could hide or reverse text.
const CONTROL = /[\p{Cc}\p{Cf}]+/gu;

/** Text from elsewhere (the output of a health check, an answer of Consul) as one line that is safe on a terminal. */
export function printable(text: string): string {
  return text.replaceAll(CONTROL, ' ').replaceAll(/ {2,}/g, ' ').trim();
}

// But for line ends and tabs; of format characters those that reverse text.
const CONTROL_IN_TEXT = /\r(?!\n|$)|[^\P{Cc}\n\r\t]|[\u{200e}\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}]/gu;

/** Lines that somebody else wrote, as they are but for what a terminal would obey: that is told, such as `\u{1b}`. */
export function printableLines(text: string): string {
  return text.replaceAll(CONTROL_IN_TEXT, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/** Rows as aligned columns, two spaces apart; the first row is the heading. */
export function alignColumns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
