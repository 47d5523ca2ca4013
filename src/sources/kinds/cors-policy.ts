/** Which other origins' pages may read the answers of a route. */
import type { Path } from '../../lib/yaml-document.ts';
import type { CorsPolicy, StringMatch } from '../../model/virtual-service.ts';
import { isToken } from '../field-types.ts';
import { DEPRECATED, type Report } from './kind.ts';
import { buildStringMatch } from './string-match.ts';
import type { CorsPolicySpec } from './virtual-service-schema.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', '*'];

function buildOrigins(spec: CorsPolicySpec, path: Path, report: Report): readonly StringMatch[] {
  const { allowOrigin = [], allowOrigins = [] } = spec;
  if (allowOrigin.length > 0)
    report(
      [...path, 'allowOrigin'],
      allowOrigins.length > 0 ? 'is deprecated, and "allowOrigins" holds instead' : 'is deprecated',
      'Write "allowOrigins: [{exact: …}]".',
      DEPRECATED,
    );
  if (allowOrigins.length === 0) return allowOrigin.map((value) => ({ kind: 'exact', value }));
  return allowOrigins.map((origin, i) => buildStringMatch(origin, [...path, 'allowOrigins', i], report, false));
}

export function buildCors(spec: CorsPolicySpec, path: Path, report: Report): CorsPolicy {
  const { allowMethods = [], allowHeaders = [], exposeHeaders = [], maxAge } = spec;
  for (const [i, method] of allowMethods.entries())
    if (!METHODS.includes(method))
      report([...path, 'allowMethods', i], `"${method}" is not an HTTP method`, `Use some of: ${METHODS.join(', ')}.`);
  for (const [field, names] of Object.entries({ allowHeaders, exposeHeaders }))
    for (const [i, name] of names.entries())
      if (!isToken(name))
        report([...path, field, i], `${JSON.stringify(name)} is not the name of a header`, 'Use letters and "-".');
  if (maxAge !== undefined && maxAge % 1000 !== 0)
    report([...path, 'maxAge'], 'is not a whole number of seconds', 'Round it.');
  return {
    allowOrigins: buildOrigins(spec, path, report),
    allowMethods,
    allowHeaders,
    exposeHeaders,
    maxAgeMs: maxAge,
    allowCredentials: spec.allowCredentials,
    unmatchedPreflights: spec.unmatchedPreflights === 'IGNORE' ? 'IGNORE' : 'FORWARD',
  };
}
