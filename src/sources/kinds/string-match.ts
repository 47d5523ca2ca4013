/** Istio's StringMatch: exact, prefix or a regular expression. */
import type { Path } from '../../lib/yaml-document.ts';
import type { StringMatch } from '../../model/virtual-service.ts';
import { readRegex } from '../regex-syntax.ts';
import type { Report } from './kind.ts';
import type { StringMatchSpec } from './virtual-service-schema.ts';

/** Reports what is wrong with a regular expression; returns how many groups it has that a substitution can name. */
export function checkRegex(value: string, path: Path, report: Report): number | undefined {
  const regex = readRegex(value);
  if (!('problem' in regex)) return regex.groupCount();
  const remedy = 'Write a regular expression in RE2 syntax, which has no look-around and no back-references.';
  report(path, `"${value}" ${regex.problem}`, remedy);
  return undefined;
}

/** @param mayBePresence whether `{}` and the regular expression `*` mean that there is any value */
export function buildStringMatch(
  spec: StringMatchSpec,
  path: Path,
  report: Report,
  mayBePresence: boolean,
): StringMatch {
  const given = Object.entries(spec).filter(([, value]) => value !== undefined);
  const [first, ...others] = given;
  if (others.length > 0)
    report(path, 'has more than one of exact, prefix and regex', 'Keep one, or write several entries of "match".');
  if (first === undefined || (mayBePresence && spec.regex === '*')) {
    if (!mayBePresence) report(path, 'says nothing to compare with', 'Add "exact", "prefix" or "regex".');
    return { kind: 'present' };
  }
  if (spec.exact !== undefined) return { kind: 'exact', value: spec.exact };
  if (spec.prefix !== undefined) {
    if (spec.prefix === '') report([...path, 'prefix'], 'is empty and matches everything', 'Leave the match out.');
    return { kind: 'prefix', value: spec.prefix };
  }
  const value = spec.regex ?? '';
  checkRegex(value, [...path, 'regex'], report);
  return { kind: 'regex', value };
}
