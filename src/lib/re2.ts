/**
 * Regular expressions as RE2 has them, which is what Envoy matches with: no look-around, no back-references, and a time
 * that grows with the text and never explodes. https://github.com/google/re2/wiki/Syntax
 */
import { RE2JS, RE2JSException } from 're2js';

/** A pattern that RE2 has taken. */
export type Re2 = RE2JS;

/** The compiled pattern, or in RE2's words what is wrong with it, such as `missing closing ): "(a"`. */
export function compileRe2(pattern: string): Re2 | { readonly problem: string } {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return { problem: error.message.replace(/^error parsing regexp: /, '').replaceAll('`', '"') };
  }
}

/** Whether the whole of `text` matches; undefined where the pattern is none. */
export function re2FullMatch(pattern: string, text: string): boolean | undefined {
  const compiled = compileRe2(pattern);
  return 'problem' in compiled ? undefined : compiled.testExact(text);
}

/**
 * `text` with all matches replaced, `\1` standing for a group, `\0` for the match; undefined where the pattern is none.
 * https://github.com/google/re2/blob/main/re2/re2.h `GlobalReplace`
 */
export function re2Replace(pattern: string, text: string, substitution: string): string | undefined {
  const compiled = compileRe2(pattern);
  if ('problem' in compiled) return undefined;
  const matcher = compiled.matcher(text);
  let out = '';
  let end = 0;
  let isFirst = true;
  while (matcher.find()) {
    // RE2 finds nothing empty right behind a match.
    if (!isFirst && matcher.end() === end) continue;
    isFirst = false;
    out += text.slice(end, matcher.start());
    out += substitution.replaceAll(/\\([0-9\\])/g, (_, char: string) =>
      char === '\\' ? char : (matcher.group(Number(char)) ?? ''),
    );
    end = matcher.end();
  }
  return out + text.slice(end);
}
