/** Resources as users name them: `VirtualService/reviews`, `virtualservices/reviews`, `vs/reviews`. */
import { TrysailError } from '../lib/errors.ts';
import { nearest } from '../lib/nearest.ts';
import { KINDS, UNSUPPORTED_KINDS } from '../sources/kinds.ts';

/** As `kubectl` knows Istio's kinds. */
const SHORT: Readonly<Record<string, string>> = {
  vs: 'VirtualService',
  dr: 'DestinationRule',
  se: 'ServiceEntry',
  we: 'WorkloadEntry',
  wg: 'WorkloadGroup',
  gw: 'Gateway',
  pa: 'PeerAuthentication',
  svc: 'Service',
};

const plural = (kind: string): string => `${kind.toLowerCase().replace(/y$/, 'ie')}s`.replace(/ss?$/, 's');

/** A kind by its name, its plural or its short form. @throws TrysailError `FLEET_KIND_UNKNOWN` */
export function kindNamed(text: string): string {
  const kinds = [...Object.keys(KINDS), ...Object.keys(UNSUPPORTED_KINDS)];
  const lower = text.toLowerCase();
  const found = SHORT[lower] ?? kinds.find((kind) => kind.toLowerCase() === lower || plural(kind) === lower);
  if (found !== undefined) return found;
  const suggestion = nearest(text, kinds);
  throw new TrysailError('FLEET_KIND_UNKNOWN', `"${text}" is no kind of resource.`, {
    remedy: suggestion === undefined ? `Kinds are: ${kinds.join(', ')}.` : `Did you mean "${suggestion}"?`,
  });
}

/** `kind/name` or `kind`. */
export function resourceNamed(text: string): { readonly kind: string; readonly name: string | undefined } {
  const [kind = '', ...rest] = text.split('/');
  return { kind: kindNamed(kind), name: rest.length === 0 ? undefined : rest.join('/') };
}
