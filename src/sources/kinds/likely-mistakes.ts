/** Values that are valid, and hardly what their author meant: a method in small letters, a path without "/", a host in capitals. */
import { shownValue } from '../../lib/shown-value.ts';
import type { Path } from '../../lib/yaml-document.ts';
import type { Report } from './kind.ts';
import type { HttpMatchSpec } from './virtual-service-schema.ts';

/** Applied as it stands. */
export const LIKELY_MISTAKE = { code: 'TRY0010', severity: 'warning' } as const;

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT']);

/** A path that a request gets, or is matched with. */
export function hintPath(text: string | undefined, path: Path, report: Report, effect: string): void {
  if (text === undefined || text.startsWith('/')) return;
  report(
    path,
    `${shownValue(text)} does not begin with "/", as paths do: ${effect}`,
    `Write ${shownValue(`/${text}`)}.`,
    LIKELY_MISTAKE,
  );
}

/** The name of a service: names are compared as they are written, and those of services are in small letters. */
export function hintHost(host: string, path: Path, report: Report): void {
  if (host === host.toLowerCase()) return;
  report(
    path,
    `${shownValue(host)} has capitals, and hosts are compared as they are written`,
    `Write ${shownValue(host.toLowerCase())}, if the service is called so.`,
    LIKELY_MISTAKE,
  );
}

/** Whether all that a regular expression fits begins with a letter or digit; false where that is not easily said. */
function beginsWithWord(regex: string): boolean {
  return /^\w(?![?*{])[^|(]*$/.test(regex);
}

function hintUri(uri: NonNullable<HttpMatchSpec['uri']>, path: Path, report: Report): void {
  const { exact, prefix, regex } = uri;
  const never = 'no request fits';
  // `OPTIONS *` asks for a path that is no path.
  if (exact !== '*') hintPath(exact, [...path, 'exact'], report, never);
  if (prefix !== '') hintPath(prefix, [...path, 'prefix'], report, never);
  if (regex !== undefined && beginsWithWord(regex))
    report(
      [...path, 'regex'],
      `${shownValue(regex)} has to fit the whole path, which begins with "/": ${never}`,
      'Begin it with "/", or with ".*".',
      LIKELY_MISTAKE,
    );
  for (const [field, text] of Object.entries({ exact, prefix }))
    if (text !== undefined && /[?#]/.test(text))
      report(
        [...path, field],
        `${shownValue(text)} has "${text.includes('?') ? '?' : '#'}", and paths are compared without query and fragment: ${never}`,
        'Write the path alone, and the query as "queryParams".',
        LIKELY_MISTAKE,
      );
}

/** Conditions that no request fulfils, though each could be meant. */
export function hintMatch({ uri, method, scheme }: HttpMatchSpec, path: Path, report: Report): void {
  if (uri !== undefined) hintUri(uri, [...path, 'uri'], report);
  const name = method?.exact ?? '';
  if (!METHODS.has(name) && METHODS.has(name.toUpperCase()))
    report(
      [...path, 'method', 'exact'],
      `${shownValue(name)} is another method than ${shownValue(name.toUpperCase())}: methods are compared as they are written`,
      `Write ${shownValue(name.toUpperCase())}.`,
      LIKELY_MISTAKE,
    );
  const of = scheme?.exact ?? '';
  if (/^https?$/i.test(of) && of !== of.toLowerCase())
    report(
      [...path, 'scheme', 'exact'],
      `${shownValue(of)} has capitals, and schemes of requests have none: no request fits`,
      `Write ${shownValue(of.toLowerCase())}.`,
      LIKELY_MISTAKE,
    );
}
