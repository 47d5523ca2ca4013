/**
 * Puts the routes of delegates (VirtualServices without hosts) in the place of the routes that delegate to them.
 * https://istio.io/latest/docs/reference/config/networking/virtual-service/#Delegate
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { HttpRoute, VirtualService } from '../model/virtual-service.ts';
import { joinedMatches, joinedName } from './delegate-match.ts';

/** A VirtualService in which no route delegates any more. */
interface Merged {
  /** What it was made of. */
  readonly delegates: readonly (VirtualService | undefined)[];
  readonly virtualService: VirtualService;
  readonly diagnostics: readonly Diagnostic[];
}

/** The last result for a root, which lives as long as the root does. */
const MERGED = new WeakMap<VirtualService, Merged>();

/** Fields that a root gives to the routes of its delegate that lack them. */
const INHERITED = ['rewrite', 'fault', 'mirrors', 'cors', 'headers'] as const;

function mergedRoute(root: HttpRoute, route: HttpRoute): HttpRoute | undefined {
  const match = joinedMatches(root.match, route.match);
  if (match === undefined) return undefined;
  const inherited = INHERITED.filter((field) => route[field] === undefined && root[field] !== undefined);
  return {
    ...route,
    ...Object.fromEntries(inherited.map((field) => [field, root[field]])),
    name: joinedName(root.name, route.name),
    match,
    timeoutMs: route.timeoutMs ?? root.timeoutMs,
    retries: route.retries ?? root.retries,
  };
}

function isExportedTo({ exportTo, meta }: VirtualService, namespace: string): boolean {
  return (
    exportTo.length === 0 ||
    exportTo.some((to) => to === '*' || to === namespace || (to === '.' && meta.namespace === namespace))
  );
}

function merge(root: VirtualService, delegateOf: (route: HttpRoute) => VirtualService | undefined): Merged {
  const delegates = root.http.map(delegateOf);
  const known = MERGED.get(root);
  if (known?.delegates.every((delegate, i) => delegate === delegates[i])) return known;
  const diagnostics: Diagnostic[] = [];
  const { meta } = root;
  const http = root.http.flatMap((route, i): readonly HttpRoute[] => {
    if (route.delegate === undefined) return [route];
    const { namespace, name } = route.delegate;
    const delegate = delegates[i];
    const named = `VirtualService ${namespace}/${name}`;
    const common = {
      object: describeObject(meta),
      path: `spec.http[${i}].delegate`,
      source: route.source ?? meta.source,
    };
    if (delegate === undefined || !isExportedTo(delegate, meta.namespace)) {
      diagnostics.push({
        ...common,
        code: 'IST0101',
        severity: 'warning',
        message:
          delegate === undefined
            ? `there is no ${named} without hosts; the route is left out`
            : `${named} is not exported to ${meta.namespace}; the route is left out`,
        remedy: delegate === undefined ? 'Correct the name, or add it.' : `Add "${meta.namespace}" to its exportTo.`,
      });
      return [];
    }
    return delegate.http.flatMap((candidate, j): readonly HttpRoute[] => {
      const merged = mergedRoute(route, candidate);
      if (merged !== undefined) return [merged];
      diagnostics.push({
        ...common,
        code: 'TRY0007',
        severity: 'warning',
        message: `http[${j}] of ${named} has a match that narrows none of this route; it is left out`,
        remedy: 'Begin its prefixes with those of this route, and use the same regular expressions.',
      });
      return [];
    });
  });
  const result = { delegates, virtualService: { ...root, http }, diagnostics };
  MERGED.set(root, result);
  return result;
}

export interface WithoutDelegates {
  readonly virtualServices: readonly VirtualService[];
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * The VirtualServices that have hosts, in their order, with the routes of delegates. One that does not delegate stays the
 * same object; equal inputs give the same result.
 * @param all with canonical hosts and the mesh's `exportTo`
 */
export function mergeDelegates(all: readonly VirtualService[]): WithoutDelegates {
  const delegates = new Map(
    all.filter(({ hosts }) => hosts.length === 0).map((one) => [`${one.meta.namespace}/${one.meta.name}`, one]),
  );
  const delegateOf = ({ delegate }: HttpRoute): VirtualService | undefined =>
    delegate === undefined ? undefined : delegates.get(`${delegate.namespace}/${delegate.name}`);
  const virtualServices: VirtualService[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const one of all) {
    if (one.hosts.length === 0) continue;
    if (!one.http.some(({ delegate }) => delegate !== undefined)) {
      virtualServices.push(one);
      continue;
    }
    const merged = merge(one, delegateOf);
    virtualServices.push(merged.virtualService);
    diagnostics.push(...merged.diagnostics);
  }
  return { virtualServices, diagnostics };
}
