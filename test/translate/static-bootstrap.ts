/**
 * Translated resources as a bootstrap that needs no control plane: routes and endpoints inlined, certificates from
 * static secrets of the same names.
 */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { type Resource, type Resources, TYPE_URL } from '../../src/xds/resource.ts';
import { resourceJson } from './json-resources.ts';

function list(resources: Resources, typeUrl: keyof typeof TYPE_URL): JsonObject[] {
  return [...(resources.get(TYPE_URL[typeUrl])?.values() ?? [])].map((resource) => {
    const { '@type': _, ...json } = resourceJson(TYPE_URL[typeUrl], resource);
    return json;
  });
}

/** Copies, giving each object to `change` from the inside out. */
function mapObjects(value: JsonValue, change: (object: JsonObject) => JsonObject): JsonValue {
  if (Array.isArray(value)) return value.map((item) => mapObjects(item, change));
  if (typeof value !== 'object' || value === null) return value;
  return change(Object.fromEntries(Object.entries(value).map(([key, child]) => [key, mapObjects(child, change)])));
}

function inlineRoutes(routes: readonly JsonObject[]): (object: JsonObject) => JsonObject {
  return (object) => {
    const { rds, ...rest } = object;
    if (typeof rds !== 'object' || rds === null || Array.isArray(rds)) return object;
    const name = rds['route_config_name'];
    const routeConfig = routes.find((route) => route['name'] === name);
    if (routeConfig === undefined) throw new Error(`no route configuration ${JSON.stringify(name)}`);
    return { ...rest, route_config: routeConfig };
  };
}

function inlineEndpoints(cluster: JsonObject, assignments: readonly JsonObject[]): JsonObject {
  const { eds_cluster_config, ...rest } = cluster;
  if (eds_cluster_config === undefined) return cluster;
  const assignment = assignments.find((candidate) => candidate['cluster_name'] === cluster['name']);
  if (assignment === undefined) throw new Error(`no load assignment ${JSON.stringify(cluster['name'])}`);
  return { ...rest, type: 'STATIC', load_assignment: assignment };
}

/** A secret without a source is one of the bootstrap's. */
function withoutSds(object: JsonObject): JsonObject {
  const { sds_config, ...rest } = object;
  return sds_config === undefined ? object : rest;
}

export interface StaticBootstrapOptions {
  readonly nodeId: string;
  /** Undefined: none, as for validation. */
  readonly adminPort?: number;
  readonly secrets: readonly Resource[];
}

export function staticBootstrap(resources: Resources, options: StaticBootstrapOptions): JsonObject {
  const routes = list(resources, 'route');
  const assignments = list(resources, 'endpoint');
  const listeners = list(resources, 'listener').map((item) => mapObjects(item, inlineRoutes(routes)));
  const clusters = list(resources, 'cluster').map((item) => inlineEndpoints(item, assignments));
  const secrets = options.secrets.map((secret) => {
    const { '@type': _, ...json } = resourceJson(TYPE_URL.secret, secret);
    return json;
  });
  return {
    node: { id: options.nodeId, cluster: options.nodeId },
    ...(options.adminPort !== undefined && {
      admin: { address: { socket_address: { address: '127.0.0.1', port_value: options.adminPort } } },
    }),
    static_resources: {
      listeners: mapObjects(listeners, withoutSds),
      clusters: mapObjects(clusters, withoutSds),
      secrets,
    },
  };
}
