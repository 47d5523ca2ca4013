/** What answers a request in place of a service: redirects and direct responses. */
import type { Path } from '../../lib/yaml-document.ts';
import type { DirectResponse, Redirect } from '../../model/virtual-service.ts';
import type { Report } from './kind.ts';
import { hintPath } from './likely-mistakes.ts';
import type { DirectResponseSpec, HttpMatchSpec, RedirectSpec } from './virtual-service-schema.ts';

const CODES = [301, 302, 303, 307, 308] as const;
const MAX_BODY_BYTES = 1024 * 1024;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Whether `text` can stand in a header that Envoy makes of it. */
function isPlain(text: string): boolean {
  return /^[\u0021-\u007e\u0080-\uffff]*$/.test(text);
}

/** @param match of the route: the prefix of each of its URIs is what `prefixRewrite` replaces */
export function buildRedirect(
  spec: RedirectSpec,
  match: readonly HttpMatchSpec[],
  path: Path,
  report: Report,
): Redirect {
  const { uri, prefixRewrite, authority, scheme, port, derivePort, redirectCode } = spec;
  if (!uri && !prefixRewrite && !authority && !scheme && port === undefined && derivePort === undefined)
    report(path, 'changes nothing, and would lead back to itself', 'Add "uri", "authority", "scheme" or "port".');
  if (uri && prefixRewrite)
    report([...path, 'prefixRewrite'], 'stands beside "uri", which replaces the whole path', 'Keep one of the two.');
  if (prefixRewrite && (match.length === 0 || match.some(({ uri: by }) => by?.prefix === undefined)))
    report([...path, 'prefixRewrite'], 'needs a URI prefix in every match of the route', 'Add "uri: {prefix: …}".');
  if (port !== undefined && derivePort !== undefined)
    report([...path, 'derivePort'], 'stands beside "port"', 'Keep one of the two.');
  if (scheme && scheme !== 'http' && scheme !== 'https')
    report([...path, 'scheme'], `"${scheme}" is neither http nor https`, 'Write "http" or "https".');
  for (const [field, text] of Object.entries({ uri, prefixRewrite, authority }))
    if (text !== undefined && !isPlain(text))
      report([...path, field], `${JSON.stringify(text)} has characters that no address has`, 'Encode them.');
  for (const [field, text] of Object.entries({ uri, prefixRewrite }))
    if (text) hintPath(text, [...path, field], report, 'it is joined to the host as it stands');
  const code = CODES.find((known) => known === (redirectCode || 301));
  if (code === undefined)
    report([...path, 'redirectCode'], `${redirectCode} is no redirect`, `Use one of: ${CODES.join(', ')}.`);
  const toPort = port ?? derivePort;
  return {
    ...(uri && { uri }),
    ...(prefixRewrite && { prefixRewrite }),
    ...(authority && { authority }),
    ...(scheme && { scheme }),
    ...(toPort !== undefined && { port: toPort }),
    code: code ?? 301,
  };
}

export function buildDirectResponse({ status, body }: DirectResponseSpec, path: Path, report: Report): DirectResponse {
  if (body === undefined) return { status, body: undefined };
  const at = [...path, 'body'];
  const { string: text, bytes: encoded } = body;
  if ((text === undefined) === (encoded === undefined))
    report(at, 'needs "string" or "bytes", and not both', 'Write one of the two.');
  if (encoded !== undefined && !BASE64.test(encoded))
    report([...at, 'bytes'], 'is not base64', 'Encode the bytes in base64.');
  const bytes = encoded === undefined ? Buffer.from(text ?? '', 'utf8') : Buffer.from(encoded, 'base64');
  if (bytes.length > MAX_BODY_BYTES)
    report(at, `is ${bytes.length} bytes long, and 1 MiB is the most`, 'Serve it from a service.');
  return {
    status,
    body: encoded === undefined ? { kind: 'text', text: text ?? '' } : { kind: 'bytes', bytes: new Uint8Array(bytes) },
  };
}
