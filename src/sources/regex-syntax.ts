/**
 * Whether Envoy would take a regular expression. Envoy uses RE2, which leaves out what needs backtracking; one that it
 * cannot compile makes it refuse the whole route configuration. https://github.com/google/re2/wiki/Syntax
 */

/** Istio's limit, in characters. */
const MAX_LENGTH = 1024;
/** RE2's limit of a counted repetition. */
const MAX_REPEAT = 1000;
const ESCAPED_LETTERS = 'afnrtvdDsSwWbBAzCQEpPx0';
const GROUP_START = /^\?(?:P?<[A-Za-z_]\w*>|[imsU]*(?:-[imsU]+)?:|[imsU]+(?:-[imsU]+)?\)|-[imsU]+\))/;
const REPEAT = /^\{(\d+)(?:,(\d*))?\}/;

function groupProblem(rest: string): string | undefined {
  if (rest.startsWith('?=') || rest.startsWith('?!')) return 'uses a lookahead, which RE2 does not have';
  if (rest.startsWith('?<=') || rest.startsWith('?<!')) return 'uses a lookbehind, which RE2 does not have';
  if (rest.startsWith('?>')) return 'uses an atomic group, which RE2 does not have';
  return GROUP_START.test(rest) ? undefined : 'has an unknown kind of group';
}

function escapeProblem(char: string | undefined): string | undefined {
  if (char === undefined) return 'ends in a backslash';
  if (/[1-9]/.test(char) || char === 'k') return 'uses a back-reference, which RE2 does not have';
  if (/[A-Za-z0-9]/.test(char) && !ESCAPED_LETTERS.includes(char)) return `uses \\${char}, which RE2 does not have`;
  return undefined;
}

/** The index behind a character class that opens at `start`, or what is wrong with it. */
function endOfClass(text: string, start: number): number | string {
  let i = start + 1;
  if (text[i] === '^') i += 1;
  if (text[i] === ']') i += 1;
  while (i < text.length) {
    if (text[i] === ']') return i + 1;
    if (text[i] === '\\') {
      const problem = escapeProblem(text[i + 1]);
      if (problem !== undefined) return problem;
      i += 2;
    } else if (text.startsWith('[:', i) && text.includes(':]', i)) i = text.indexOf(':]', i) + 2;
    else i += 1;
  }
  return 'has a "[" that is never closed';
}

/** Why RE2 (or Istio) refuses `text`, as the rest of a sentence, or undefined when it does not. */
export function regexProblem(text: string): string | undefined {
  if (text === '') return 'is empty';
  if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  let depth = 0;
  // Whether a repetition may follow, and whether one has just been.
  let atom = false;
  let repeated = false;
  for (let i = 0; i < text.length; ) {
    const char = text[i];
    const repeat = char === '{' ? REPEAT.exec(text.slice(i)) : null;
    if (char === '*' || char === '+' || char === '?' || repeat !== null) {
      if (!atom) return repeated ? `repeats a repetition at "${text.slice(i)}"` : 'repeats nothing';
      if (repeat !== null && Math.max(Number(repeat[1]), Number(repeat[2] ?? 0)) > MAX_REPEAT)
        return `repeats more than ${MAX_REPEAT} times`;
      if (repeat?.[2] && Number(repeat[2]) < Number(repeat[1])) return 'repeats from more to fewer times';
      i += repeat?.[0].length ?? 1;
      if (text[i] === '?') i += 1;
      atom = false;
      repeated = true;
      continue;
    }
    repeated = false;
    atom = true;
    if (char === '\\') {
      const problem = escapeProblem(text[i + 1]);
      if (problem !== undefined) return problem;
      i += 2;
    } else if (char === '[') {
      const end = endOfClass(text, i);
      if (typeof end === 'string') return end;
      i = end;
    } else if (char === '(') {
      const rest = text.slice(i + 1);
      const problem = rest.startsWith('?') ? groupProblem(rest) : undefined;
      if (problem !== undefined) return problem;
      const start = GROUP_START.exec(rest)?.[0] ?? '';
      if (!start.endsWith(')')) depth += 1;
      atom = false;
      i += 1 + start.length;
    } else {
      if (char === ')') depth -= 1;
      if (depth < 0) return 'has a ")" that opens nowhere';
      if (char === '|') atom = false;
      i += 1;
    }
  }
  return depth > 0 ? 'has a "(" that is never closed' : undefined;
}
