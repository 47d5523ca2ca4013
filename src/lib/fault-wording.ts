/** What a complaint of a zod schema means to whoever wrote the document: the value, the rule and the remedy. */
import type * as z from 'zod/mini';
import { nearest } from './nearest.ts';
import { shownValue, shownWithType } from './shown-value.ts';

export interface FaultWording {
  readonly message: string;
  readonly remedy?: string;
}

/** Longest value that a remedy repeats. */
const MOST_REPEATED = 40;

function nounOf(expected: string): string {
  const nouns: Readonly<Record<string, string>> = { object: 'a mapping', record: 'a mapping', array: 'a list' };
  return nouns[expected] ?? `a ${expected}`;
}

function isScalar(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

/** How to write `input` so that it is of the type that is wanted. */
function rewritten(input: unknown, expected: string): string {
  switch (expected) {
    case 'string':
      // Not with the value: 1.10 without quotes has become 1.1 already.
      return isScalar(input) ? 'Put it in quotes.' : 'Write a string.';
    case 'number':
      return typeof input === 'string' && /^-?\d{1,15}(?:\.\d{1,15})?$/.test(input)
        ? `Write it without quotes: ${input}.`
        : 'Write a number.';
    case 'boolean':
      return typeof input === 'string' ? 'Write true or false, without quotes.' : 'Write true or false.';
    case 'array':
      return isScalar(input) && String(input).length <= MOST_REPEATED
        ? `Write a list, such as [${shownValue(input)}].`
        : 'Write a list.';
    default:
      return `Write ${nounOf(expected)}.`;
  }
}

function wrongType(input: unknown, expected: readonly string[], isDocument: boolean): FaultWording {
  const [first = '', ...others] = expected;
  const nouns = [...new Set(expected.map(nounOf))].join(' or ');
  return {
    message: isDocument
      ? `the document is ${shownWithType(input)}, not ${nouns}`
      : `${shownWithType(input)} is not ${nouns}`,
    remedy: others.length === 0 ? rewritten(input, first) : `Write ${nouns}.`,
  };
}

/**
 * The wording of one complaint, which must have been made with `reportInput`. A check of the schema can give its remedy
 * as `params: { remedy }` of a custom issue.
 * @param path where it is; its last step names what is missing
 */
export function wordFault(path: readonly (string | number)[], issue: z.core.$ZodIssue): FaultWording {
  const name = path.at(-1);
  const missing = issue.input === undefined && typeof name === 'string' ? `"${name}" is missing` : undefined;
  switch (issue.code) {
    case 'invalid_type':
      return missing === undefined
        ? wrongType(issue.input, [issue.expected], path.length === 0)
        : { message: missing, remedy: `Add it, as ${nounOf(issue.expected)}.` };
    case 'invalid_value': {
      const values = issue.values.map(String);
      if (missing !== undefined) return { message: missing, remedy: `Add it: one of ${values.join(', ')}.` };
      const suggestion = typeof issue.input === 'string' ? nearest(issue.input, values) : undefined;
      const hint = suggestion === undefined ? '' : `Did you mean "${suggestion}"? `;
      return {
        message: `${shownValue(issue.input)} is not one of the values`,
        remedy: `${hint}Use one of: ${values.join(', ')}.`,
      };
    }
    case 'invalid_union': {
      const types = issue.errors.flat().flatMap((inner) => (inner.code === 'invalid_type' ? [inner.expected] : []));
      if (types.length === 0) return { message: issue.message };
      if (missing === undefined) return wrongType(issue.input, [...new Set(types)], path.length === 0);
      return { message: missing, remedy: `Add it, as ${[...new Set(types.map(nounOf))].join(' or ')}.` };
    }
    case 'custom': {
      const remedy = issue.params?.['remedy'];
      return { message: missing ?? issue.message, ...(typeof remedy === 'string' && { remedy }) };
    }
    default:
      return { message: issue.message };
  }
}
