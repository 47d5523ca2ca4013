/** Checks what a line of the access log is to say, so that Envoy never sees a format that it would refuse. */
import { errorMessage } from '../lib/errors.ts';
import { nearest } from '../lib/nearest.ts';
import type { Path } from '../lib/yaml-document.ts';
import type { AccessLogFields, AccessLogFormat, AccessLogValue } from '../model/mesh-config.ts';
import { ACCESS_LOG_OPERATORS, operatorProblem } from './access-log-operators.ts';
import type { Report } from './kinds/kind.ts';

interface Problem {
  readonly message: string;
  readonly remedy: string;
}

/** Deeper ones nobody reads, and Envoy's reader recurses. */
const MAX_DEPTH = 8;

const OPERATOR = /^%(?:%|([A-Z0-9_]+)(?:\(([^()\n]*)\))?(?::(\d{1,4}))?%)/;

/** What is wrong with the operators in `text`. */
function* textProblems(text: string): Generator<Problem> {
  if (/[^\P{Cc}\n\r\t]/u.test(text))
    yield { message: 'has a control character', remedy: 'Leave it out: a line is text.' };
  for (let at = text.indexOf('%'); at >= 0; at = text.indexOf('%', at)) {
    const found = OPERATOR.exec(text.slice(at));
    if (found === null) {
      yield {
        message: `"${text.slice(at, at + 20)}" begins with "%" and is no operator`,
        remedy: 'Write %% for the sign itself; an operator is upper case between two "%", such as %REQ(:METHOD)%.',
      };
      return;
    }
    const [all, name, parameter, length] = found;
    at += all.length;
    const message = name === undefined ? undefined : operatorProblem(name, parameter, length !== undefined);
    if (name === undefined || message === undefined) continue;
    const like = ACCESS_LOG_OPERATORS.includes(name) ? undefined : nearest(name, ACCESS_LOG_OPERATORS);
    const hint = name === 'REQ_WITHOUT_QUERY' ? 'Write %PATH(NQ)%, the path without its query.' : undefined;
    yield {
      message,
      remedy: hint ?? (like === undefined ? 'Correct it, or leave it out.' : `Did you mean %${like}%?`),
    };
  }
}

function* valueProblems(of: AccessLogValue, depth = 0): Generator<Problem> {
  if (typeof of === 'string') yield* textProblems(of);
  else if (of === Number.POSITIVE_INFINITY || of === Number.NEGATIVE_INFINITY)
    yield { message: 'has a number that is too large', remedy: 'Write it as a string.' };
  else if (typeof of === 'object' && of !== null && depth >= MAX_DEPTH)
    yield { message: `is nested more than ${MAX_DEPTH} deep`, remedy: 'Make it flatter.' };
  else if (typeof of === 'object' && of !== null)
    for (const inner of Object.values<AccessLogValue>(of)) yield* valueProblems(inner, depth + 1);
}

/** The JSON object that `text` is, or why it is none that Envoy takes. */
function readFields(text: string): { readonly fields?: AccessLogFields; readonly problems: readonly Problem[] } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    const remedy = 'Write a JSON object as a string, or accessLogEncoding: TEXT.';
    return { problems: [{ message: `is not JSON: ${errorMessage(error)}`, remedy }] };
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    const remedy = 'Write field names with their values, in braces.';
    return { problems: [{ message: 'is JSON, but no object', remedy }] };
  }
  const fields = parsed as AccessLogFields;
  return { fields, problems: [...valueProblems(fields)] };
}

/**
 * The readings of a format that Envoy takes, of which `encoding` must be one; else that is reported. An empty format is
 * none: Istio's holds.
 */
export function buildAccessLogFormat(
  text: string,
  encoding: 'TEXT' | 'JSON',
  path: Path,
  report: Report,
): AccessLogFormat {
  if (text.trim() === '') return {};
  const ofText = [...textProblems(text)];
  const { fields, problems: ofFields } = readFields(text);
  for (const { message, remedy } of encoding === 'JSON' ? ofFields : ofText) report(path, message, remedy);
  return {
    ...(ofText.length === 0 && { text }),
    ...(fields !== undefined && ofFields.length === 0 && { json: fields }),
  };
}
