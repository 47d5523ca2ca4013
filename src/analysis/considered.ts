/** The routes of a VirtualService as they were considered for one request: which was taken, and why not the others. */

import type { JsonObject } from '@bufbuild/protobuf';
import type { SourceLocation } from '../model/diagnostic.ts';
import type { ConsideredRoute } from '../model/explanation.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { HttpMatch, HttpRoute, VirtualService } from '../model/virtual-service.ts';
import { type HttpRoutesSpec, httpRoutes, isCatchAll } from '../translate/http/http-routes.ts';
import type { CalledRequest } from './called-request.ts';
import { textAt } from './json-access.ts';
import { routeMisfit } from './route-matcher.ts';

/** `reviews.yaml:12`. */
export function place({ file, line }: SourceLocation): string {
  return `${file}:${line}`;
}

/** One alternative of a route, with the Envoy route that it is translated to, if it counts there. */
interface Alternative {
  readonly route: HttpRoute;
  readonly index: number;
  readonly match: HttpMatch | undefined;
  readonly matchIndex: number | undefined;
  readonly counts: boolean;
  readonly takesAll: boolean;
}

function alternatives(spec: HttpRoutesSpec): readonly Alternative[] {
  const { virtualService } = spec;
  return virtualService.http.flatMap((route, index) => {
    const matches: readonly (HttpMatch | undefined)[] = route.match.length === 0 ? [undefined] : route.match;
    return matches.map((match, i) => {
      const alone = { ...route, match: match === undefined ? [] : [match] };
      // Translation itself says whether it counts, so that the two cannot differ.
      const [made] = httpRoutes({ ...spec, virtualService: { ...virtualService, http: [alone] } });
      return {
        route,
        index,
        match,
        matchIndex: match === undefined ? undefined : i,
        counts: made !== undefined,
        takesAll: made !== undefined && isCatchAll(made),
      };
    });
  });
}

function skippedBecause({ port, gateway, client }: HttpRoutesSpec, { match, route }: Alternative): string {
  const { gateways = [], sourceNamespace, sourceLabels = {} } = match ?? {};
  if (match?.port !== undefined && match.port !== port) return `it is for port ${match.port}`;
  if (gateways.length > 0 && !gateways.includes(gateway)) return `it is for gateways ${gateways.join(', ')}`;
  if (sourceNamespace !== undefined && sourceNamespace !== client.namespace)
    return `it is for callers of namespace ${sourceNamespace}`;
  const lacking = Object.entries(sourceLabels).find(([key, value]) => client.labels[key] !== value);
  if (lacking !== undefined) return `it is for callers with the label ${lacking.join('=')}`;
  if (route.destinations.length > 1) return 'all of its weights are 0';
  return 'it leads nowhere';
}

function nameOf({ route, index, match, matchIndex }: Alternative): string {
  const named = [route.name, match?.name].filter((part) => part !== undefined && part !== '').join('.');
  if (named !== '') return named;
  return `http[${index}]${matchIndex === undefined || route.match.length < 2 ? '' : `.match[${matchIndex}]`}`;
}

export interface Consideration {
  readonly considered: readonly ConsideredRoute[];
  /** The route of the VirtualService that an Envoy route was made from. */
  readonly taken: { readonly route: HttpRoute; readonly name: string; readonly source: string } | undefined;
}

/**
 * @param envoyRoutes what the VirtualService became, in Envoy's order
 * @param path as `routedPath` has it
 */
export function consider(
  spec: HttpRoutesSpec,
  envoyRoutes: readonly JsonObject[],
  request: CalledRequest,
  path: string,
): Consideration {
  const considered: ConsideredRoute[] = [];
  let taken: Consideration['taken'];
  let position = 0;
  let blocker: string | undefined;
  for (const alternative of alternatives(spec)) {
    const name = nameOf(alternative);
    const { route } = alternative;
    const source = place(route.source ?? spec.virtualService.meta.source);
    const tell = (result: ConsideredRoute['result'], reason: string | undefined): void => {
      considered.push({ route: name, source, result, reason });
    };
    if (!alternative.counts) {
      tell('skipped', skippedBecause(spec, alternative));
      continue;
    }
    if (blocker !== undefined) {
      tell('unreached', `${blocker} before it takes every request`);
      continue;
    }
    const envoyRoute = envoyRoutes[position++];
    if (alternative.takesAll) blocker = name;
    const misfit = envoyRoute === undefined ? 'Envoy has no such route' : routeMisfit(envoyRoute, request, path);
    if (misfit !== undefined) tell('passed', misfit);
    else if (taken === undefined) {
      taken = { route, name, source };
      tell('taken', undefined);
    } else tell('unreached', `${taken.name} before it takes this request`);
  }
  return { considered, taken };
}

/** Routes of Envoy that come from no VirtualService that is known: by their own names. */
export function considerUnmapped(
  envoyRoutes: readonly JsonObject[],
  request: CalledRequest,
  path: string,
): readonly ConsideredRoute[] {
  let isTaken = false;
  return envoyRoutes.map((route, i) => {
    const misfit = routeMisfit(route, request, path);
    const takes = misfit === undefined && !isTaken;
    const name = textAt(route, 'name') || `route ${i}`;
    isTaken ||= takes;
    return {
      route: name,
      source: '',
      result: takes ? 'taken' : misfit === undefined ? 'unreached' : 'passed',
      reason: takes ? undefined : (misfit ?? 'one before it takes this request'),
    };
  });
}

/** `VirtualService default/reviews`. */
export function describeVirtualService({ meta }: VirtualService): string {
  return describeObject(meta);
}
