/** Small tables and bars of text. */
import { cyan, dim, pad, width } from './style.ts';

type Cell = string | number;

/** A table with a head; numbers are set to the right. Each row has a cell for every column. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const columns = head.map((title, column) =>
    Math.max(width(title), ...rows.map((row) => width(String(row[column] ?? '')))),
  );
  const isNumeric = head.map((_, column) => rows.every((row) => typeof row[column] === 'number'));
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, column) => pad(String(cell), columns[column] ?? 0, isNumeric[column] === true ? 'left' : 'right'))
      .join('  ')
      .trimEnd();
  return [dim(line(head)), ...rows.map(line)].join('\n');
}

/** A bar of `columns` columns, filled by `share` (0 to 1) in eighths of a column. */
export function bar(share: number, columns = 30): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * columns * 8);
  const full = '█'.repeat(Math.floor(eighths / 8));
  const part = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8] ?? '';
  return cyan(full + part) + dim('·'.repeat(columns - width(full + part)));
}
