/** What the answers of `explain` have in common, wherever the request arrives: where it is led, and what is done to it. */
import type { JsonObject } from '@bufbuild/protobuf';
import { isObject, resourceJson } from '../envoy-api/resource-json.ts';
import type { ExplainedDestination, Explanation, Outcome, PatchingFilter } from '../model/explanation.ts';
import type { Mesh } from '../model/mesh.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { Service } from '../model/service.ts';
import { BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER } from '../translate/outbound/passthrough.ts';
import { filtersFor, orderedFilters } from '../translate/patches/applicable.ts';
import { CLUSTER, LOAD_ASSIGNMENT } from '../translate/type-urls.ts';
import type { Client } from '../translate/view/calling.ts';
import { bestSpecificity } from '../translate/view/host-pattern.ts';
import type { MeshView } from '../translate/view/mesh-view.ts';
import type { Resources, TypeUrl } from '../xds/resource.ts';
import type { CalledRequest } from './called-request.ts';
import { clusterFacts } from './cluster-facts.ts';
import { place } from './considered.ts';
import { objectsAt, textAt } from './json-access.ts';
import { preflightNote } from './preflight.ts';
import { headerFacts, routeFacts } from './route-facts.ts';

/** A mesh, as one client sees it, and what Envoy gets of it. */
export interface Translated {
  readonly mesh: Mesh;
  readonly view: MeshView;
  readonly resources: Resources;
}

export type Answer = Pick<
  Explanation,
  | 'protocol'
  | 'outcome'
  | 'note'
  | 'virtualService'
  | 'route'
  | 'source'
  | 'destinations'
  | 'action'
  | 'considered'
  | 'rateLimits'
>;

/** Closed, by no rule. */
export const NOTHING: Answer = {
  protocol: undefined,
  outcome: 'refused',
  note: undefined,
  virtualService: undefined,
  route: undefined,
  source: undefined,
  destinations: [],
  action: undefined,
  considered: [],
};

/** A resource of Envoy as JSON, undefined where there is none of that name. */
export function resourceOf({ resources }: Translated, type: TypeUrl, name: string): JsonObject | undefined {
  const resource = resources.get(type)?.get(name);
  return resource === undefined ? undefined : resourceJson(type, resource.value);
}

/** Names of clusters say what they are of: `outbound|9080|v1|reviews.default.mesh`, with the client where several differ. */
function partsOf(cluster: string): {
  readonly port: number;
  readonly subset: string | undefined;
  readonly host: string;
} {
  // What passes as it is bears the server name that is asked for.
  const [, port = '', subset = '', host = ''] = cluster
    .replace(/^outbound_\.(\d+)_\.(.*?)_\./, 'outbound|$1|$2|')
    .split('|');
  return { port: Number(port), subset: subset === '' ? undefined : subset, host: host.split('~')[0] ?? '' };
}

function destination(asked: Translated, name: string, weight: number, headers: JsonObject): ExplainedDestination {
  const { port, subset, host } = partsOf(name);
  const cluster = resourceOf(asked, CLUSTER, name);
  const facts = cluster === undefined ? undefined : clusterFacts(cluster, resourceOf(asked, LOAD_ASSIGNMENT, name));
  const service = asked.mesh.services.get(host);
  const rules = service === undefined ? [] : asked.view.rules(service);
  return {
    destination: host,
    port,
    subset,
    weight,
    cluster: name,
    failure: failureOf(asked, service, subset, facts?.endpoints),
    policy:
      facts === undefined
        ? undefined
        : { ...facts, rules: rules.map(({ meta }) => ({ rule: describeObject(meta), source: place(meta.source) })) },
    requestHeaders: headerFacts(headers, 'request'),
    responseHeaders: headerFacts(headers, 'response'),
  };

  function failureOf(
    { view }: Translated,
    known: Service | undefined,
    wanted: string | undefined,
    endpoints: { readonly total: number; readonly healthy: number } | undefined,
  ): string | undefined {
    if (cluster === undefined) {
      if (known === undefined) return `503 NC: nothing is known of ${host}`;
      if (wanted !== undefined && view.subset(known, wanted) === undefined)
        return `503 NC: ${missingSubset(asked.mesh, known, wanted)}`;
      if (!known.ports.some(({ number }) => number === port)) return `503 NC: ${host} has no port ${port}`;
      return `503 NC: ${host} cannot be called from here`;
    }
    if (endpoints === undefined || endpoints.healthy > 0) return undefined;
    return endpoints.total === 0 ? '503 UH: it has no endpoints' : '503 UH: none of its endpoints is healthy';
  }
}

/** Why a subset is not there for this client: rules of other namespaces may well have it. */
function missingSubset({ destinationRules }: Mesh, { host, aliases }: Service, name: string): string {
  const elsewhere = destinationRules.find(
    (rule) =>
      rule.subsets.some((subset) => subset.name === name) &&
      bestSpecificity([rule.host], [host, ...aliases]) !== undefined,
  );
  return elsewhere === undefined
    ? `no DestinationRule for ${host} has a subset "${name}"`
    : `${describeObject(elsewhere.meta)} has subset "${name}" of ${host}, and does not hold for this caller`;
}

/** The clusters of a route or TCP proxy, with their shares in percent. */
function destinations(asked: Translated, of: JsonObject): readonly ExplainedDestination[] {
  const weighted = objectsAt(of, 'weighted_clusters', 'clusters');
  if (weighted.length === 0) {
    const name = textAt(of, 'cluster');
    return name === '' ? [] : [destination(asked, name, 100, {})];
  }
  const total = weighted.reduce((sum, one) => sum + Number(textAt(one, 'weight') || '0'), 0);
  return weighted.map((one) => {
    const share = (100 * Number(textAt(one, 'weight') || '0')) / (total || 1);
    return destination(asked, textAt(one, 'name'), Math.round(share * 1000) / 1000, one);
  });
}

/** Outside of the mesh's services two clusters mean what their names say. */
function outcomeOf(cluster: string): Outcome {
  if (cluster === PASSTHROUGH_CLUSTER) return 'passthrough';
  return cluster === BLACK_HOLE_CLUSTER ? 'refused' : 'forwarded';
}

/** Where a route or a TCP proxy leads. */
export function led(asked: Translated, of: JsonObject): Pick<Answer, 'outcome' | 'destinations'> {
  const outcome = outcomeOf(textAt(of, 'cluster'));
  return { outcome, destinations: outcome === 'forwarded' ? destinations(asked, of) : [] };
}

/**
 * What becomes of a request that a route of Envoy takes.
 * @param path as Envoy has normalised it, with its query
 */
export function byRoute(asked: Translated, taken: JsonObject, request: CalledRequest, path: string): Partial<Answer> {
  const action = routeFacts(taken, request, path);
  const note = preflightNote(taken, request);
  if (note !== undefined) {
    const { fault, cors } = action;
    const answered = {
      ...routeFacts({}, request, path),
      fault,
      cors,
      directResponse: { status: 200, body: undefined },
    };
    return { action: answered, outcome: 'answered', destinations: [], note };
  }
  if (taken['redirect'] !== undefined) return { action, outcome: 'redirected', destinations: [] };
  if (taken['direct_response'] !== undefined) return { action, outcome: 'answered', destinations: [] };
  const { route } = taken;
  return { action, ...led(asked, isObject(route) ? route : {}) };
}

/** EnvoyFilters that hold for a client. Which parts of an answer come from them is not known. */
export function patchingFilters(mesh: Mesh, client: Client): readonly PatchingFilter[] {
  return filtersFor(orderedFilters(mesh), mesh.config.rootNamespace, [client]).map(({ meta }) => ({
    envoyFilter: describeObject(meta),
    source: place(meta.source),
  }));
}

/** The destination with the largest share, the first of several. */
export function largest(destinations: readonly ExplainedDestination[]): ExplainedDestination | undefined {
  return destinations.reduce<ExplainedDestination | undefined>(
    (best, one) => (best === undefined || one.weight > best.weight ? one : best),
    undefined,
  );
}
