/** The HTTP routes of a VirtualService. */
import { formatDuration } from '../../lib/duration.ts';
import type { Path } from '../../lib/yaml-document.ts';
import type { SourceLocation } from '../../model/diagnostic.ts';
import type { HttpRoute } from '../../model/virtual-service.ts';
import { isNamespaceName } from '../field-types.ts';
import { buildCors } from './cors-policy.ts';
import { buildFault } from './fault.ts';
import { buildHeaders, checkOneAuthority } from './header-operations.ts';
import { type Report, WITHOUT_EFFECT } from './kind.ts';
import { buildRetries } from './retries.ts';
import { buildRewrite } from './rewrite.ts';
import { buildDirectResponse, buildRedirect } from './route-answers.ts';
import { buildDestinations, buildMirrors } from './route-destinations.ts';
import { buildHttpMatch } from './virtual-service-match.ts';
import type { HttpRouteSpec } from './virtual-service-schema.ts';

/** Fields of which a route has one, in the order in which the others are reported. */
const ENDS = ['delegate', 'redirect', 'directResponse', 'route'] as const;
/** What needs a request that goes on. */
const NOT_WITH_ANSWERS = ['fault', 'rewrite'] as const;
/** The same, which Istio lets pass. */
const IDLE_WITH_ANSWERS = ['timeout', 'retries', 'mirror', 'mirrors'] as const;

function checkEnds(spec: HttpRouteSpec, path: Path, report: Report, isDelegate: boolean): void {
  const present = ENDS.filter((field) =>
    field === 'route' ? (spec.route?.length ?? 0) > 0 : spec[field] !== undefined,
  );
  const [first, ...others] = present;
  if (first === undefined)
    report(path, 'has no "route"', 'Add "route" with at least one destination, "redirect" or "directResponse".');
  for (const other of others) report([...path, other], `stands beside "${first}"`, 'Keep one of the two.');
  if (isDelegate && spec.delegate !== undefined)
    report([...path, 'delegate'], 'is that of a delegate, and delegates do not delegate', 'Write the routes here.');
  if (first !== 'redirect' && first !== 'directResponse') return;
  for (const field of NOT_WITH_ANSWERS)
    if (spec[field] !== undefined)
      report([...path, field], `has no meaning beside "${first}", as no service is called`, 'Remove it.');
  for (const field of IDLE_WITH_ANSWERS)
    if (spec[field] !== undefined)
      report(
        [...path, field],
        `has no effect beside "${first}", as no service is called`,
        'Remove it.',
        WITHOUT_EFFECT,
      );
}

/** The limit of the whole route ends its tries as well. */
function checkTimes({ timeout, retries }: HttpRouteSpec, path: Path, report: Report): void {
  const perTry = retries?.perTryTimeout;
  if (timeout === undefined || perTry === undefined || perTry <= timeout) return;
  report(
    [...path, 'retries', 'perTryTimeout'],
    `${formatDuration(perTry)} is longer than "timeout", ${formatDuration(timeout)}, which ends the first try before`,
    'Write a shorter one, or a "timeout" that has room for all tries.',
    WITHOUT_EFFECT,
  );
}

/** Where things stand, and what is told of them. */
export interface RouteContext {
  readonly namespace: string;
  /** Whether the VirtualService is a delegate. */
  readonly isDelegate: boolean;
  readonly report: Report;
  readonly locate: (path: Path) => SourceLocation;
}

export function buildHttpRoute(spec: HttpRouteSpec, path: Path, context: RouteContext): HttpRoute {
  const { namespace, report } = context;
  checkEnds(spec, path, report, context.isDelegate);
  checkTimes(spec, path, report);
  const { match = [], delegate, redirect, directResponse, rewrite, fault, corsPolicy } = spec;
  if (delegate?.namespace && !isNamespaceName(delegate.namespace))
    report([...path, 'delegate', 'namespace'], `"${delegate.namespace}" is no namespace`, 'Write a namespace.');
  const headers = spec.headers === undefined ? undefined : buildHeaders(spec.headers, [...path, 'headers'], report);
  checkOneAuthority(rewrite?.authority || undefined, headers, path, report);
  const mirrors = buildMirrors(spec, path, report);
  return {
    name: spec.name,
    match: match.map((one, i) => buildHttpMatch(one, namespace, [...path, 'match', i], report)),
    destinations: buildDestinations(spec.route ?? [], [...path, 'route'], report),
    ...(redirect !== undefined && { redirect: buildRedirect(redirect, match, [...path, 'redirect'], report) }),
    ...(directResponse !== undefined && {
      directResponse: buildDirectResponse(directResponse, [...path, 'directResponse'], report),
    }),
    ...(delegate !== undefined && {
      delegate: { namespace: delegate.namespace || namespace, name: delegate.name },
    }),
    ...(rewrite !== undefined && { rewrite: buildRewrite(rewrite, [...path, 'rewrite'], report) }),
    timeoutMs: spec.timeout,
    retries: spec.retries === undefined ? undefined : buildRetries(spec.retries, [...path, 'retries'], report),
    ...(fault !== undefined && { fault: buildFault(fault, [...path, 'fault'], report) }),
    ...(mirrors.length > 0 && { mirrors }),
    ...(corsPolicy !== undefined && { cors: buildCors(corsPolicy, [...path, 'corsPolicy'], report) }),
    ...(headers !== undefined && { headers }),
    source: context.locate(path),
  };
}
