/** The difference of two texts as people know it: lines with `-`, `+` and a few around them. */
import { structuredPatch } from 'diff';

/** Lines shown around a difference. */
const CONTEXT = 3;
/** Beyond so many lines that come or go the texts are shown whole. */
const MAX_CHANGED = 2000;

/** The text without regard to whether its last line is ended. */
const ended = (text = ''): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

const marked = (mark: '-' | '+', text: string): readonly string[] =>
  text === ''
    ? []
    : text
        .slice(0, -1)
        .split('\n')
        .map((line) => `${mark} ${line}`);

/** The lines of a difference, those that are the same left out but for a few around; empty for equal texts. */
export function lineDiff(before: string | undefined, after: string | undefined): readonly string[] {
  const [old, next] = [ended(before), ended(after)];
  const patch = structuredPatch('', '', old, next, '', '', { context: CONTEXT, maxEditLength: MAX_CHANGED });
  if (patch === undefined) return [...marked('-', old), ...marked('+', next)];
  return patch.hunks.flatMap(({ lines }, i) => [
    ...(i === 0 ? [] : ['  …']),
    ...lines.map((line) => `${line.slice(0, 1)} ${line.slice(1)}`),
  ]);
}
