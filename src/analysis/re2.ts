/**
 * RE2's regular expressions, as Envoy matches them: the whole text, by JavaScript's engine. The two agree on whether a text
 * matches wherever both know the syntax; what they write differently is translated here.
 * https://github.com/google/re2/wiki/Syntax
 */
import { createContext, Script } from 'node:vm';

/** After this long the engine is stopped, in milliseconds: it backtracks, which RE2 does not. */
const TIMEOUT_MS = 500;
/** So often a match is tried that was stopped although it was the machine that was slow. */
const TRIES = 3;
/**
 * Slow ones get so much together within a while, each that comes after them little, and in the end none anything: a rule
 * may have hundreds, and while an agent answers such a question it does nothing else.
 */
const SLOW_MS = 50;
const ALL_SLOW_MS = 1000;
const END_MS = 3000;
const WHILE_MS = 10_000;

let slow = { sinceMs: 0, spentMs: 0 };

const POSIX: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  ascii: '\\x00-\\x7F',
  blank: '\\t ',
  cntrl: '\\x00-\\x1F\\x7F',
  digit: '0-9',
  graph: '!-~',
  lower: 'a-z',
  print: ' -~',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\t\\n\\v\\f\\r ',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};

/** Escapes of RE2 that JavaScript writes otherwise. Its classes are ASCII's, where JavaScript's `\s` is Unicode's. */
const ESCAPES: Readonly<Record<string, string>> = {
  A: '(?<![\\s\\S])',
  z: '(?![\\s\\S])',
  a: '\\x07',
  C: '[\\s\\S]',
  s: '[\\t\\n\\f\\r ]',
  S: '[^\\t\\n\\f\\r ]',
  d: '[0-9]',
  D: '[^0-9]',
  w: '[0-9A-Za-z_]',
  W: '[^0-9A-Za-z_]',
};
const CLASS_ESCAPES: Readonly<Record<string, string>> = {
  a: '\\x07',
  s: '\\t\\n\\f\\r ',
  d: '0-9',
  w: '0-9A-Za-z_',
};

const quoted = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);

/** `\pL`, `\p{Greek}`, `\P{^Lu}` in JavaScript's words. */
function property(letter: string, name: string): string {
  const isCategory = /^[LMNPSZC][a-z]?$/.test(name) || name === 'Any';
  return `\\${letter}{${isCategory ? name : `Script=${name}`}}`;
}

/** The escape at `i`, which is a backslash: its translation and where it ends. */
function escape(pattern: string, i: number, inClass: boolean): readonly [string, number] {
  const char = pattern[i + 1] ?? '';
  if (char === 'Q') {
    const end = pattern.indexOf('\\E', i);
    const text = pattern.slice(i + 2, end === -1 ? undefined : end);
    return [quoted(text), end === -1 ? pattern.length : end + 2];
  }
  const unicode = /^\\([pP])(?:([A-Z])|\{(\^?)(\w+)\})/.exec(pattern.slice(i));
  if (unicode !== null) {
    const [whole, letter = 'p', short, negated, name = ''] = unicode;
    const flipped = letter === 'p' ? 'P' : 'p';
    return [property(negated === '^' ? flipped : letter, short ?? name), i + whole.length];
  }
  const hex = /^\\x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})/.exec(pattern.slice(i));
  if (hex !== null) return [`\\u{${hex[1] ?? hex[2] ?? '0'}}`, i + hex[0].length];
  const known = (inClass ? CLASS_ESCAPES : ESCAPES)[char];
  if (known !== undefined) return [known, i + 2];
  // The syntax of JavaScript with Unicode refuses escapes that are not needed.
  const kept = /[\^$\\.*+?()[\]{}|/nrtvfbBSDW0]/.test(char) || (inClass && char === '-');
  return [kept ? `\\${char}` : char, i + 2];
}

function characterClass(pattern: string, start: number): readonly [string, number] {
  let i = start + 1;
  let text = '[';
  if (pattern[i] === '^') {
    text += '^';
    i++;
  }
  for (let first = true; i < pattern.length; first = false) {
    const posix = /^\[:(\^?)(\w+):\]/.exec(pattern.slice(i));
    if (posix !== null) {
      const [whole, negated, name = ''] = posix;
      text += negated === '^' ? '' : (POSIX[name] ?? '');
      if (negated === '^') throw new Error(`negated class ${name}`);
      i += whole.length;
      continue;
    }
    const char = pattern[i] ?? '';
    if (char === ']' && !first) return [`${text}]`, i + 1];
    if (char === '\\') {
      const [translated, end] = escape(pattern, i, true);
      text += translated;
      i = end;
      continue;
    }
    text += /[[\]]/.test(char) ? `\\${char}` : char;
    i++;
  }
  throw new Error('a class without its end');
}

/**
 * The pattern for JavaScript, to be used with flag `u`.
 * @throws Error for what cannot be translated: flags `U` and `m`, negated POSIX classes
 */
export function translateRe2(pattern: string): string {
  let out = '';
  // Flags in the middle of a group hold to its end: each opens a group of its own, closed with the one around it.
  const opened: number[] = [0];
  for (let i = 0; i < pattern.length; ) {
    const rest = pattern.slice(i);
    const char = pattern[i] ?? '';
    const flags = /^\(\?([imsU]*)(?:-([imsU]+))?([:)])/.exec(rest);
    if (flags !== null) {
      const [whole, on = '', off = '', end] = flags;
      if (/[Um]/.test(on + off)) throw new Error('flags U and m');
      const unique = [...new Set(on)].filter((flag) => !off.includes(flag)).join('');
      const minus = [...new Set(off)].join('');
      out += `(?${unique}${minus === '' ? '' : `-${minus}`}:`;
      if (end === ')') opened[opened.length - 1] = (opened.at(-1) ?? 0) + 1;
      else opened.push(0);
      i += whole.length;
    } else if (rest.startsWith('(?P<')) {
      out += '(?<';
      opened.push(0);
      i += 4;
    } else if (char === '(') {
      out += '(';
      opened.push(0);
      i++;
    } else if (char === ')') {
      out += ')'.repeat((opened.pop() ?? 0) + 1);
      i++;
    } else if (char === '\\' || char === '[') {
      const [translated, end] = char === '[' ? characterClass(pattern, i) : escape(pattern, i, false);
      out += translated;
      i = end;
    } else {
      // A brace that begins no repetition, and a bracket that ends no class, stand for themselves.
      const isLiteral = (char === '{' && !/^\{\d+(?:,\d*)?\}/.test(rest)) || char === ']';
      const repetition = /^\{\d+(?:,\d*)?\}/.exec(rest)?.[0];
      out += isLiteral || char === '}' ? `\\${char}` : (repetition ?? char);
      i += repetition?.length ?? 1;
    }
  }
  return out + ')'.repeat(opened[0] ?? 0);
}

/** Whether the whole of `text` matches; undefined where that cannot be told here. */
export function re2FullMatch(pattern: string, text: string): boolean | undefined {
  const found = run(pattern, text, (source) => `new RegExp(${JSON.stringify(`^(?:${source})$`)}, 'u').test(text)`);
  return typeof found === 'boolean' ? found : undefined;
}

/** `text` with all matches replaced, `\1` standing for a group; undefined where that cannot be told here. */
export function re2Replace(pattern: string, text: string, substitution: string): string | undefined {
  const replacement = substitution
    .replaceAll('$', '$$$$')
    .replaceAll(/\\([0-9\\])/g, (_, digit: string) => (digit === '0' ? '$&' : digit === '\\' ? '\\' : `$${digit}`));
  const replaced = run(
    pattern,
    text,
    (source) => `text.replaceAll(new RegExp(${JSON.stringify(source)}, 'gu'), ${JSON.stringify(replacement)})`,
  );
  return typeof replaced === 'string' ? replaced : undefined;
}

/** The work of this thread so far, in milliseconds: on a busy machine a quick match may take long and has done nothing. */
function workedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function run(pattern: string, text: string, script: (source: string) => string): unknown {
  for (let tries = 1; tries <= TRIES; tries++) {
    const nowMs = performance.now();
    if (nowMs - slow.sinceMs > WHILE_MS) slow = { sinceMs: nowMs, spentMs: 0 };
    if (slow.spentMs > END_MS) return undefined;
    const timeout = Math.min(TIMEOUT_MS, Math.max(SLOW_MS, Math.ceil(ALL_SLOW_MS - slow.spentMs)));
    const beganMs = workedMs();
    let wasStopped = false;
    try {
      // Node stops a script after a time, and its regular expressions with it.
      return new Script(script(translateRe2(pattern))).runInContext(createContext({ text }), { timeout });
    } catch (error) {
      wasStopped = (error as { readonly code?: unknown }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
    } finally {
      const tookMs = workedMs() - beganMs;
      if (wasStopped || tookMs >= SLOW_MS) slow.spentMs += tookMs;
      // It was this thread that was stopped, not its work that was long.
      wasStopped &&= tookMs < SLOW_MS;
    }
    if (!wasStopped) return undefined;
  }
  return undefined;
}
