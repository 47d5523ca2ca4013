/** How a match of a delegate narrows one of the route that delegates to it. */
import type { HttpMatch, StringMatch } from '../model/virtual-service.ts';

/** `root-delegate`, or the only one of the two that there is. */
export function joinedName(root: string | undefined, delegate: string | undefined): string | undefined {
  return root === undefined || delegate === undefined ? (delegate ?? root) : `${root}-${delegate}`;
}

/** Whether all that fits `delegate` fits `root`, as far as that can be told: a regular expression must be the same. */
function narrows(root: StringMatch | undefined, delegate: StringMatch | undefined): boolean {
  if (root === undefined || delegate === undefined || root.kind === 'present') return true;
  if (delegate.kind === 'present') return true;
  if (root.kind === 'regex' || delegate.kind === 'regex')
    return root.kind === delegate.kind && root.value === delegate.value;
  if (root.kind === 'prefix') return delegate.value.startsWith(root.value);
  return delegate.kind === 'exact' && delegate.value === root.value;
}

type ByName = Readonly<Record<string, StringMatch>>;

function allNarrow(root: ByName, delegate: ByName): boolean {
  return Object.entries(delegate).every(([name, match]) => narrows(root[name], match));
}

function agrees<T>(root: T | undefined, delegate: T | undefined): boolean {
  return root === undefined || delegate === undefined || root === delegate;
}

function isCompatible(root: HttpMatch, delegate: HttpMatch): boolean {
  const gateways = root.gateways ?? [];
  return (
    (['uri', 'scheme', 'method', 'authority'] as const).every((field) => narrows(root[field], delegate[field])) &&
    (root.uri === undefined || delegate.uri === undefined || root.ignoreUriCase === delegate.ignoreUriCase) &&
    (['headers', 'withoutHeaders', 'queryParams'] as const).every((field) => allNarrow(root[field], delegate[field])) &&
    agrees(root.port, delegate.port) &&
    agrees(root.sourceNamespace, delegate.sourceNamespace) &&
    Object.entries(delegate.sourceLabels ?? {}).every(([key, value]) => agrees(root.sourceLabels?.[key], value)) &&
    (gateways.length === 0 || (delegate.gateways ?? []).every((gateway) => gateways.includes(gateway)))
  );
}

/** What is more telling of the two: that a value is there says less than what it is. */
function narrower(root: ByName, delegate: ByName): ByName {
  const kept = Object.entries(delegate).filter(([name, match]) => match.kind !== 'present' || root[name] === undefined);
  return { ...root, ...Object.fromEntries(kept) };
}

function both(root: HttpMatch, delegate: HttpMatch): HttpMatch {
  const sourceLabels = { ...root.sourceLabels, ...delegate.sourceLabels };
  const sourceNamespace = delegate.sourceNamespace ?? root.sourceNamespace;
  const gateways = delegate.gateways ?? root.gateways;
  const statPrefix = delegate.statPrefix ?? root.statPrefix;
  return {
    name: joinedName(root.name, delegate.name),
    uri: delegate.uri ?? root.uri,
    ignoreUriCase: delegate.uri === undefined ? root.ignoreUriCase : delegate.ignoreUriCase,
    method: delegate.method ?? root.method,
    scheme: delegate.scheme ?? root.scheme,
    authority: delegate.authority ?? root.authority,
    headers: narrower(root.headers, delegate.headers),
    withoutHeaders: narrower(root.withoutHeaders, delegate.withoutHeaders),
    queryParams: narrower(root.queryParams, delegate.queryParams),
    port: delegate.port ?? root.port,
    ...(Object.keys(sourceLabels).length > 0 && { sourceLabels }),
    ...(sourceNamespace !== undefined && { sourceNamespace }),
    ...(gateways !== undefined && { gateways }),
    ...(statPrefix !== undefined && { statPrefix }),
  };
}

/**
 * The alternatives of a delegate's route within those of its root. Undefined when one of the delegate's narrows none of
 * the root's: then the delegate's route is left out, as in Istio.
 */
export function joinedMatches(
  root: readonly HttpMatch[],
  delegate: readonly HttpMatch[],
): readonly HttpMatch[] | undefined {
  if (root.length === 0) return delegate;
  if (delegate.length === 0) return root;
  const joined = delegate.map((one) =>
    root.filter((candidate) => isCompatible(candidate, one)).map((candidate) => both(candidate, one)),
  );
  return joined.some((found) => found.length === 0) ? undefined : joined.flat();
}
