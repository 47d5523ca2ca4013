/** Whether Envoy would take a regular expression: one that it does not makes it refuse the whole route configuration. */
import { compileRe2, type Re2 } from '../lib/re2.ts';

/** Istio's limit, in characters. */
const MAX_LENGTH = 1024;
/** Of RE2's program, in instructions: `re2.max_program_size.error_level` of our bootstrap, as of Istio's. */
const MAX_SIZE = 32_768;

/** The compiled expression, or why Envoy (or Istio) refuses it, as the rest of a sentence that begins with it. */
export function readRegex(text: string): Re2 | { readonly problem: string } {
  if (text === '') return { problem: 'is empty' };
  if (text.length > MAX_LENGTH) return { problem: `is longer than ${MAX_LENGTH} characters` };
  const regex = compileRe2(text);
  if ('problem' in regex) return { problem: `is no regular expression of RE2: ${regex.problem}` };
  return regex.programSize() > MAX_SIZE ? { problem: 'is too large with its repetitions written out' } : regex;
}
