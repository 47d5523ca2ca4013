/** The difference of two texts as people know it: lines with `-`, `+` and a few around them. */

/** Lines shown around a difference. */
const CONTEXT = 3;
/** Beyond so many pairs of lines the texts are shown whole. */
const MAX_PAIRS = 4_000_000;

interface Line {
  readonly mark: ' ' | '-' | '+';
  readonly text: string;
}

const linesOf = (text: string | undefined): readonly string[] =>
  text === undefined || text === '' ? [] : text.replace(/\n$/, '').split('\n');

function compared(a: readonly string[], b: readonly string[]): readonly Line[] {
  const whole = (): readonly Line[] => [
    ...a.map((text): Line => ({ mark: '-', text })),
    ...b.map((text): Line => ({ mark: '+', text })),
  ];
  if (a.length === 0 || b.length === 0 || a.length * b.length > MAX_PAIRS) return whole();
  // Lengths of the longest common subsequences of the rests.
  const width = b.length + 1;
  const common = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      common[i * width + j] =
        a[i] === b[j]
          ? (common[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(common[(i + 1) * width + j] ?? 0, common[i * width + j + 1] ?? 0);
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [old, next] = [a[i], b[j]];
    if (old !== undefined && old === next) {
      lines.push({ mark: ' ', text: old });
      i += 1;
      j += 1;
    } else if (
      old !== undefined &&
      (next === undefined || (common[(i + 1) * width + j] ?? 0) >= (common[i * width + j + 1] ?? 0))
    ) {
      lines.push({ mark: '-', text: old });
      i += 1;
    } else {
      lines.push({ mark: '+', text: next ?? '' });
      j += 1;
    }
  }
  return lines;
}

/** The lines of a difference, those that are the same left out but for a few around; empty for equal texts. */
export function lineDiff(before: string | undefined, after: string | undefined): readonly string[] {
  const lines = compared(linesOf(before), linesOf(after));
  const near = lines.map((_, i) =>
    lines.slice(Math.max(0, i - CONTEXT), i + CONTEXT + 1).some(({ mark }) => mark !== ' '),
  );
  const shown: string[] = [];
  for (const [i, { mark, text }] of lines.entries()) {
    if (near[i] === true) shown.push(`${mark} ${text}`);
    else if (near[i - 1] === true) shown.push('  …');
  }
  return shown.at(-1) === '  …' ? shown.slice(0, -1) : shown;
}
