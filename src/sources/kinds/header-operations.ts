/** Header operations of routes and destinations. */
import type { Path } from '../../lib/yaml-document.ts';
import type { HeaderChanges, HeaderOperations } from '../../model/virtual-service.ts';
import { isToken } from '../field-types.ts';
import { headerValueProblem } from './header-value.ts';
import type { Report } from './kind.ts';
import type { HeaderChangesSpec, HeadersSpec } from './virtual-service-schema.ts';

/** Whether a header names the host that is called. */
function isAuthority(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === 'host' || lower === ':authority';
}

function checkName(name: string, path: Path, report: Report, mayBeAuthority: boolean): void {
  if (mayBeAuthority && isAuthority(name)) return;
  if (isAuthority(name) || name.startsWith(':'))
    report(path, `"${name}" cannot be changed here`, 'Remove it; the host of a request can be set, not removed.');
  else if (!isToken(name))
    report(path, `${JSON.stringify(name)} is not the name of a header`, 'Use letters, digits and "-".');
}

/** Reports what Envoy would refuse. */
function checkHeaderValue(value: string, path: Path, report: Report): void {
  const problem = headerValueProblem(value);
  if (problem !== undefined) report(path, `${JSON.stringify(value)} ${problem}`, 'Correct the value.');
}

function buildChanges(spec: HeaderChangesSpec, path: Path, report: Report, ofRequest: boolean): HeaderChanges {
  const { set = {}, add = {}, remove = [] } = spec;
  for (const [field, changes] of Object.entries({ set, add }))
    for (const [name, value] of Object.entries(changes)) {
      checkName(name, [...path, field, name], report, ofRequest);
      checkHeaderValue(value, [...path, field, name], report);
    }
  for (const [i, name] of remove.entries()) checkName(name, [...path, 'remove', i], report, false);
  return { set, add, remove };
}

export function buildHeaders(spec: HeadersSpec, path: Path, report: Report): HeaderOperations {
  const { request, response } = spec;
  return {
    ...(request !== undefined && { request: buildChanges(request, [...path, 'request'], report, true) }),
    ...(response !== undefined && { response: buildChanges(response, [...path, 'response'], report, false) }),
  };
}

/** Reports every second place that sets the host of a request. */
export function checkOneAuthority(
  rewritten: string | undefined,
  headers: HeaderOperations | undefined,
  path: Path,
  report: Report,
): void {
  let first = rewritten === undefined ? undefined : 'rewrite.authority';
  for (const field of ['set', 'add'] as const)
    for (const name of Object.keys(headers?.request?.[field] ?? {}).filter(isAuthority)) {
      const at: Path = ['headers', 'request', field, name];
      if (first === undefined) first = at.join('.');
      else report([...path, ...at], `the host is set by ${first} already`, 'Set it in one place.');
    }
}
