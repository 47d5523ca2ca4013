/** Colours where the output is a terminal that wants them, plain text elsewhere. */
import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

const paint = (style: Style) => (text: string) => styleText(style, text, { stream: process.stdout });

export const bold = paint('bold');
export const dim = paint('dim');
export const red = paint('red');
export const green = paint('green');
export const cyan = paint('cyan');

const ESCAPE_SEQUENCE = new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*m`, 'g');

/** Columns that a text takes, without its colours. */
export function width(text: string): number {
  return text.replaceAll(ESCAPE_SEQUENCE, '').length;
}

/** Fills up to `columns` with blanks, behind the text or, with `left`, before it. */
export function pad(text: string, columns: number, side: 'left' | 'right' = 'right'): string {
  const blanks = ' '.repeat(Math.max(0, columns - width(text)));
  return side === 'right' ? text + blanks : blanks + text;
}
