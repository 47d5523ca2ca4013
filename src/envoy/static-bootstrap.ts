/**
 * Resources that come over xDS as part of a bootstrap that needs no xDS: routes, endpoints and secrets inlined. It is what
 * an Envoy serves that starts while the agent is away.
 */
import { setImmediate } from 'node:timers/promises';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isObject, resourceJson } from '../envoy-api/resource-json.ts';
import { type Bootstrap, XDS_CLUSTER } from './bootstrap.ts';

/** Serialised messages by type URL, then by name. */
export type SerialisedResources = ReadonlyMap<string, ReadonlyMap<string, { readonly value: Uint8Array }>>;

/** How many resources are converted before others get their turn; ten thousand endpoints take a third of a second. */
const AT_ONCE = 20;
const TLS_SOCKET = 'envoy.transport_sockets.tls';

/** Resources of one kind, by the last part of the type's name. */
async function ofKind(resources: SerialisedResources, kind: string): Promise<ReadonlyMap<string, JsonObject>> {
  const found = new Map<string, JsonObject>();
  for (const [typeUrl, byName] of resources) {
    if (!typeUrl.endsWith(`.${kind}`)) continue;
    for (const [name, { value }] of byName) {
      found.set(name, resourceJson(typeUrl, value));
      if (found.size % AT_ONCE === 0) await setImmediate();
    }
  }
  return found;
}

/** Copies, giving each object to `change` from the inside out. */
function mapObjects(value: JsonValue, change: (object: JsonObject) => JsonObject): JsonValue {
  if (Array.isArray(value)) return value.map((item) => mapObjects(item, change));
  if (!isObject(value)) return value;
  return change(Object.fromEntries(Object.entries(value).map(([key, child]) => [key, mapObjects(child, change)])));
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** What an object lacks: a part that refers to what is not there must be left out whole. */
class Missing extends Error {}

/** The same with what it refers to, or undefined when something of that is missing. */
function complete(
  value: JsonValue,
  routes: ReadonlyMap<string, JsonObject>,
  secrets: ReadonlyMap<string, JsonObject>,
): JsonValue | undefined {
  const inline = (object: JsonObject): JsonObject => {
    const { rds, sds_config, ...rest } = object;
    if (isObject(rds)) {
      const route = routes.get(text(rds['route_config_name']));
      if (route === undefined) throw new Missing();
      // A cluster may be left out: its requests fail, and those of others do not.
      return { ...rest, route_config: { ...route, validate_clusters: false } };
    }
    if (sds_config === undefined) return object;
    if (!secrets.has(text(object['name']))) throw new Missing();
    // A secret without a source is one of the bootstrap's.
    return rest;
  };
  try {
    return mapObjects(value, inline);
  } catch (error) {
    if (error instanceof Missing) return undefined;
    throw error;
  }
}

function list(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** With the filter chains that are complete; undefined when none is left of a listener that has had some. */
function completeListener(
  listener: JsonObject,
  routes: ReadonlyMap<string, JsonObject>,
  secrets: ReadonlyMap<string, JsonObject>,
): JsonObject | undefined {
  const { filter_chains, default_filter_chain, ...rest } = listener;
  const chains = list(filter_chains).flatMap((chain) => complete(chain, routes, secrets) ?? []);
  const last = default_filter_chain === undefined ? undefined : complete(default_filter_chain, routes, secrets);
  const others = complete(rest, routes, secrets);
  const hadChains = list(filter_chains).length > 0 || default_filter_chain !== undefined;
  if (!isObject(others) || (hadChains && chains.length === 0 && last === undefined)) return undefined;
  return {
    ...others,
    ...(chains.length === 0 ? {} : { filter_chains: chains }),
    ...(last === undefined ? {} : { default_filter_chain: last }),
  };
}

function withEndpoints(cluster: JsonObject, assignments: ReadonlyMap<string, JsonObject>): JsonObject {
  const { eds_cluster_config: eds, ...rest } = cluster;
  if (!isObject(eds)) return cluster;
  const name = text(eds['service_name'] ?? cluster['name']);
  return { ...rest, type: 'STATIC', load_assignment: assignments.get(name) ?? { cluster_name: name } };
}

/**
 * Where callers are told apart, one without its certificate is refused, by the socket for whoever is not known; the others
 * call on.
 * @param refuse gets the name of each that is
 */
function withKnownCallers(
  cluster: JsonObject,
  secrets: ReadonlyMap<string, JsonObject>,
  refuse: (caller: string) => void,
): JsonObject {
  const { transport_socket, transport_socket_matches, transport_socket_matcher } = cluster;
  // Any other cluster would go on in plain text.
  const refuses = isObject(transport_socket) && text(transport_socket['name']) === TLS_SOCKET;
  if (transport_socket_matcher === undefined || !refuses) return cluster;
  return {
    ...cluster,
    transport_socket_matches: list(transport_socket_matches).map((match) => {
      if (!isObject(match) || complete(match, new Map(), secrets) !== undefined) return match;
      refuse(text(match['name']));
      return { ...match, transport_socket };
    }),
  };
}

/** Whether a secret has a private key in it, not the name of its file alone. */
function holdsKey({ tls_certificate: pair }: JsonObject): boolean {
  if (!isObject(pair)) return false;
  const key = pair['private_key'];
  return !isObject(key) || key['filename'] === undefined;
}

export interface StaticOptions {
  /**
   * Whether private keys may be in it. Without them, filter chains, clusters and callers that need one are left out:
   * nothing falls back to plain text.
   */
  readonly keys: boolean;
}

/** What `static_resources` holds, in Envoy's JSON form, and the names of what had to be left out. */
export interface StaticResources {
  readonly listeners: readonly JsonObject[];
  readonly clusters: readonly JsonObject[];
  readonly secrets: readonly JsonObject[];
  readonly leftOut: readonly string[];
}

/** @throws Error for a resource that cannot be decoded */
export async function staticResources(
  resources: SerialisedResources,
  { keys }: StaticOptions,
): Promise<StaticResources> {
  const routes = await ofKind(resources, 'RouteConfiguration');
  const assignments = await ofKind(resources, 'ClusterLoadAssignment');
  const all = await ofKind(resources, 'Secret');
  const secrets = new Map([...all].filter(([, secret]) => keys || !holdsKey(secret)));
  const leftOut: string[] = [];
  const take = (name: string, value: JsonValue | undefined): readonly JsonObject[] => {
    if (isObject(value)) return [value];
    leftOut.push(name);
    return [];
  };
  const listeners = [...(await ofKind(resources, 'Listener'))].flatMap(([name, listener]) =>
    take(name, completeListener(listener, routes, secrets)),
  );
  const clusters = [...(await ofKind(resources, 'Cluster'))].flatMap(([name, cluster]) => {
    const known = withKnownCallers(cluster, secrets, (caller) => leftOut.push(`${name} for ${caller}`));
    return take(name, complete(withEndpoints(known, assignments), routes, secrets));
  });
  return { listeners, clusters, secrets: [...secrets.values()], leftOut };
}

/** A complete bootstrap: the one that is for xDS, its health listener included, with all that xDS would bring. */
export function staticBootstrap(forXds: Bootstrap, resources: StaticResources): Bootstrap {
  const { dynamic_resources: _, static_resources: fixed, ...rest } = forXds as JsonObject;
  const own = isObject(fixed) ? fixed : {};
  const isXds = (cluster: JsonValue): boolean => isObject(cluster) && cluster['name'] === XDS_CLUSTER;
  return {
    ...rest,
    static_resources: {
      listeners: [...list(own['listeners']), ...resources.listeners],
      clusters: [...list(own['clusters']).filter((cluster) => !isXds(cluster)), ...resources.clusters],
      secrets: resources.secrets,
    },
  };
}
