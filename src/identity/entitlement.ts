/** Which workload identities a host may ask for: patterns `namespace/serviceAccount`, each half a name or `prefix*`. */
import type { WorkloadIdentity } from '../model/spiffe-id.ts';

const HALF = /^(?:[A-Za-z0-9._-]+\*?|\*)$/;

/** Whether the text is a pattern: `default/reviews`, `payments/*`, `shop/web-*`, `*`/`*`. */
export function isEntitlementPattern(text: string): boolean {
  const halves = text.split('/');
  return halves.length === 2 && halves.every((half) => HALF.test(half));
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}

/** Whether one of the patterns covers the identity. The trust domain is the CA's business. */
export function isEntitled(patterns: readonly string[], identity: WorkloadIdentity): boolean {
  return patterns.some((pattern) => {
    const [namespace = '', serviceAccount = ''] = pattern.split('/');
    return matches(namespace, identity.namespace) && matches(serviceAccount, identity.serviceAccount);
  });
}
