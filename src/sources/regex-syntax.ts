/**
 * Whether Envoy would take a regular expression. Envoy uses RE2, which leaves out what needs backtracking; one that it
 * cannot compile makes it refuse the whole route configuration. https://github.com/google/re2/wiki/Syntax
 */

/** Istio's limit, in characters. */
const MAX_LENGTH = 1024;
/** RE2's limit of a counted repetition, and of the product of nested ones. */
const MAX_REPEAT = 1000;
/** Of RE2's program, in instructions: `re2.max_program_size.error_level` of our bootstrap, as of Istio's. */
const MAX_SIZE = 32_768;
const ESCAPED_LETTERS = 'afnrtvdDsSwWbBAzCQEpPx0';
const NOT_IN_CLASS = 'bBAzCQE';
const GROUP_START = /^\?(?:P?<[A-Za-z_]\w*>|[imsU]*(?:-[imsU]+)?:|[imsU]+(?:-[imsU]+)?\)|-[imsU]+\))/;
const REPEAT = /^\{(\d+)(?:(,)(\d*))?\}/;
const POSIX_CLASSES =
  /^\[:\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]/;

/** What stands at some place: where it ends, and the character where it is just one; or what is wrong with it. */
type Piece = { readonly end: number; readonly char?: string } | { readonly problem: string };

function isUnicodeProperty(name: string): boolean {
  if (/^[LMNPSZC][a-z]?$/.test(name) || name === 'Any') return true;
  try {
    return new RegExp(`\\p{Script=${name}}`, 'u').unicode;
  } catch {
    return false;
  }
}

/** The escape at `start`, which is a backslash. */
function readEscape(text: string, start: number, inClass: boolean): Piece {
  const char = text[start + 1];
  const rest = text.slice(start + 2);
  if (char === undefined) return { problem: 'ends in a backslash' };
  if (/[1-9]/.test(char) || char === 'k') return { problem: 'uses a back-reference, which RE2 does not have' };
  const unknown = { problem: `uses \\${char}, which RE2 does not have${inClass ? ' there' : ''}` };
  if (!/[A-Za-z0-9]/.test(char)) return { end: start + 2, char };
  if (!ESCAPED_LETTERS.includes(char) || (inClass && NOT_IN_CLASS.includes(char))) return unknown;
  if (char === 'x') {
    const hex = /^(?:[0-9A-Fa-f]{2}|\{[0-9A-Fa-f]{1,6}\})/.exec(rest)?.[0];
    if (hex === undefined) return { problem: 'has \\x without its two hexadecimal digits' };
    const code = Number.parseInt(hex.replaceAll(/[{}]/g, ''), 16);
    if (code > 0x10_ff_ff) return { problem: `has \\x${hex}, which is no character` };
    return { end: start + 2 + hex.length, char: String.fromCodePoint(code) };
  }
  if (char === 'p' || char === 'P') {
    const property = /^(?:([A-Z])|\{\^?(\w+)\})/.exec(rest);
    const name = property?.[1] ?? property?.[2] ?? '';
    if (!isUnicodeProperty(name)) return { problem: `has \\${char} without a Unicode class that RE2 knows` };
    return { end: start + 2 + (property?.[0].length ?? 0) };
  }
  if (char === 'Q') {
    const end = text.indexOf('\\E', start);
    return { end: end === -1 ? text.length : end + 2 };
  }
  return { end: start + 2 };
}

/** The character class at `start`, which is its bracket. */
function readClass(text: string, start: number): Piece {
  let i = start + 1;
  if (text[i] === '^') i += 1;
  const first = i;
  // The character before, if it may begin a range, and whether a "-" has made it one.
  let from: string | undefined;
  let isRange = false;
  while (i < text.length) {
    if (text[i] === ']' && i > first) return { end: i + 1 };
    if (text[i] === '-' && from !== undefined && !isRange && text[i + 1] !== ']') {
      isRange = true;
      i += 1;
      continue;
    }
    const posix = text.startsWith('[:', i) ? POSIX_CLASSES.exec(text.slice(i)) : undefined;
    if (posix === null && text.includes(':]', i))
      return { problem: 'has a class between "[:" and ":]" that RE2 does not know' };
    const piece: Piece =
      text[i] === '\\'
        ? readEscape(text, i, true)
        : posix
          ? { end: i + posix[0].length }
          : { end: i + 1, char: text[i] ?? '' };
    if ('problem' in piece) return piece;
    if (isRange && (piece.char === undefined || from === undefined || piece.char < from))
      return { problem: `has a range that does not rise, in "${text.slice(start, piece.end)}"` };
    from = isRange ? undefined : piece.char;
    isRange = false;
    i = piece.end;
  }
  return { problem: 'has a "[" that is never closed' };
}

function groupProblem(rest: string): string | undefined {
  if (rest.startsWith('?=') || rest.startsWith('?!')) return 'uses a lookahead, which RE2 does not have';
  if (rest.startsWith('?<=') || rest.startsWith('?<!')) return 'uses a lookbehind, which RE2 does not have';
  if (rest.startsWith('?>')) return 'uses an atomic group, which RE2 does not have';
  return rest.startsWith('?') && !GROUP_START.test(rest) ? 'has an unknown kind of group' : undefined;
}

/** Reads a pattern from left to right; `problem` ends it. */
class Reader {
  readonly #text: string;
  #at = 0;
  /** What a repetition would repeat: how often it repeats within itself; undefined where there is nothing. */
  #atom: number | undefined;
  #repeated = false;
  /** Of every open group, the largest repetition within. */
  readonly #groups: number[] = [];
  #largest = 1;
  /** How many instructions the open group takes at least, and the last atom of it; those of the groups around it. */
  #size = 0;
  #atomSize = 0;
  readonly #sizes: number[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  problem(): string | undefined {
    while (this.#at < this.#text.length) {
      const problem = this.#step();
      if (problem !== undefined) return problem;
    }
    if (this.#groups.length > 0) return 'has a "(" that is never closed';
    return this.#size > MAX_SIZE ? 'is too large with its repetitions written out' : undefined;
  }

  #step(): string | undefined {
    const char = this.#text[this.#at] ?? '';
    const counted = char === '{' ? REPEAT.exec(this.#text.slice(this.#at)) : null;
    if ('*+?'.includes(char) || counted !== null) return this.#repeat(counted);
    this.#repeated = false;
    if (char === '(') return this.#open();
    if (char === ')') return this.#close();
    if (char === '|') {
      this.#atom = undefined;
      this.#at += 1;
      return undefined;
    }
    const piece: Piece =
      char === '\\'
        ? readEscape(this.#text, this.#at, false)
        : char === '['
          ? readClass(this.#text, this.#at)
          : { end: this.#at + 1 };
    if ('problem' in piece) return piece.problem;
    this.#atom = 1;
    this.#atomSize = 1;
    this.#size += 1;
    this.#at = piece.end;
    return undefined;
  }

  #repeat(counted: RegExpExecArray | null): string | undefined {
    if (this.#atom === undefined)
      return this.#repeated ? `repeats a repetition at "${this.#text.slice(this.#at)}"` : 'repeats nothing';
    const least = Number(counted?.[1] ?? 0);
    const most = counted?.[3] ? Number(counted[3]) : least;
    if (counted?.[3] && most < least) return 'repeats from more to fewer times';
    const total = Math.max(1, most) * this.#atom;
    if (most > MAX_REPEAT || total > MAX_REPEAT) return `repeats more than ${MAX_REPEAT} times`;
    this.#largest = Math.max(this.#largest, total);
    this.#size += this.#atomSize * (Math.max(1, most) - 1);
    this.#at += counted?.[0].length ?? 1;
    if (this.#text[this.#at] === '?') this.#at += 1;
    this.#atom = undefined;
    this.#repeated = true;
    return undefined;
  }

  #open(): string | undefined {
    const rest = this.#text.slice(this.#at + 1);
    const problem = groupProblem(rest);
    if (problem !== undefined) return problem;
    const start = GROUP_START.exec(rest);
    this.#at += 1 + (start?.[0].length ?? 0);
    this.#atom = undefined;
    // Flags alone, such as (?i), open nothing.
    if (start?.[0].endsWith(')') === true) return undefined;
    this.#groups.push(this.#largest);
    this.#largest = 1;
    this.#sizes.push(this.#size);
    this.#size = 0;
    return undefined;
  }

  #close(): string | undefined {
    const outer = this.#groups.pop();
    if (outer === undefined) return 'has a ")" that opens nowhere';
    this.#atom = this.#largest;
    this.#atomSize = this.#size;
    this.#size += this.#sizes.pop() ?? 0;
    this.#largest = Math.max(outer, this.#largest);
    this.#at += 1;
    return undefined;
  }
}

/** Why RE2 (or Istio) refuses `text`, as the rest of a sentence, or undefined when it does not. */
export function regexProblem(text: string): string | undefined {
  if (text === '') return 'is empty';
  if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  return new Reader(text).problem();
}
