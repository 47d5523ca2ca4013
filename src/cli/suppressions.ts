/** `--suppress`: findings that are known, by code, or by code and resource as `istioctl analyze` takes them. */
import type { Diagnostic } from '../model/diagnostic.ts';

/** `*` stands for anything. */
function matches(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return pattern === text;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest.slice(0, -1)) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  const last = rest.at(-1) ?? '';
  return text.length - last.length >= at && text.endsWith(last);
}

/** `VirtualService shop/reviews`, and the same as Istio writes it: `VirtualService reviews.shop`. */
function namesOf(object: string): readonly string[] {
  const [kind = '', path = ''] = object.split(' ');
  const [namespace, name] = path.split('/');
  return name === undefined ? [object] : [object, `${kind} ${name}.${namespace ?? ''}`];
}

/** @param suppressions each `<code>` or `<code>=<kind> <namespace>/<name>`, with `*` for anything */
export function isSuppressed({ code, object = '' }: Diagnostic, suppressions: readonly string[]): boolean {
  return suppressions.some((text) => {
    const split = text.indexOf('=');
    if (split === -1) return matches(text, code);
    const pattern = text.slice(split + 1).trim();
    return matches(text.slice(0, split).trim(), code) && namesOf(object).some((name) => matches(pattern, name));
  });
}
