/** Rewrites of a request's path and host. */
import type { Path } from '../../lib/yaml-document.ts';
import type { Rewrite } from '../../model/virtual-service.ts';
import type { Report } from './kind.ts';
import { hintPath } from './likely-mistakes.ts';
import { checkRegex } from './string-match.ts';
import type { RewriteSpec } from './virtual-service-schema.ts';

/** As RE2 takes it: `\0` to `\9`, `\\`, and no other backslash. */
function checkSubstitution(text: string, groups: number, path: Path, report: Report): void {
  if (/\p{Cc}/u.test(text)) report(path, `${JSON.stringify(text)} has a control character`, 'Encode it.');
  for (const [escape, char = ''] of text.matchAll(/\\([\s\S]?)/g)) {
    if (char === '\\') continue;
    if (!/[0-9]/.test(char)) report(path, `has ${escape}, which stands for nothing`, 'Write "\\\\" for a backslash.');
    else if (Number(char) > groups)
      report(path, `has ${escape}, and "match" has ${groups} groups`, 'Name a group that there is.');
  }
}

export function buildRewrite(spec: RewriteSpec, path: Path, report: Report): Rewrite {
  const { uri, authority, uriRegexRewrite: regex } = spec;
  if (!uri && !authority && regex === undefined)
    report(path, 'rewrites nothing', 'Add "uri", "uriRegexRewrite" or "authority".');
  if (uri && regex !== undefined) report([...path, 'uriRegexRewrite'], 'stands beside "uri"', 'Keep one of the two.');
  if (regex !== undefined) {
    const at = [...path, 'uriRegexRewrite'];
    if (!regex.match || !regex.rewrite) report(at, 'needs both "match" and "rewrite"', 'Add what is missing.');
    const groups = checkRegex(regex.match ?? '', [...at, 'match'], report);
    if (groups !== undefined) checkSubstitution(regex.rewrite ?? '', groups, [...at, 'rewrite'], report);
  }
  for (const [field, text] of Object.entries({ uri, authority }))
    if (text !== undefined && /[\s\p{Cc}]/u.test(text))
      report([...path, field], `${JSON.stringify(text)} has a space or a control character`, 'Encode it.');
  if (uri) hintPath(uri, [...path, 'uri'], report, 'what is sent may have none either');
  return {
    ...(uri && { uri }),
    ...(regex !== undefined && { uriRegex: { match: regex.match ?? '', rewrite: regex.rewrite ?? '' } }),
    ...(authority && { authority }),
  };
}
