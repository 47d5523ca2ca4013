/**
 * What Istio writes into every resource of a kind, whatever the feature, and ours must say too: Envoy's own defaults are
 * other ones. Looked for in the output of all golden cases.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { caseNames } from './golden-case.ts';

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Found {
  readonly where: string;
  readonly json: Json;
}

function resourcesOf(name: string): readonly Found[] {
  return parseAllDocuments(readFileSync(join(import.meta.dirname, name, 'envoy.yaml'), 'utf8')).flatMap((document) => {
    const json: unknown = document.toJS();
    return isObject(json) ? [{ where: `${name}: ${String(json['name'] ?? json['cluster_name'])}`, json }] : [];
  });
}

/** The object and all objects within it. */
function within({ where, json }: Found): readonly Found[] {
  const inner = Object.values(json)
    .flatMap((value): readonly unknown[] => (Array.isArray(value) ? value : [value]))
    .filter(isObject);
  return [{ where, json }, ...inner.flatMap((one) => within({ where, json: one }))];
}

const RESOURCES = caseNames(import.meta.dirname).flatMap(resourcesOf);
const EVERYTHING = RESOURCES.flatMap(within);

function typed(message: string): readonly Found[] {
  return EVERYTHING.filter(({ json }) => String(json['@type']).endsWith(`.${message}`));
}

function listOf(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function at(json: Json, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), json);
}

/** Of services, in both directions; not those that we need for ourselves. */
const CLUSTERS = typed('Cluster').filter(({ json }) => /^(?:outbound|inbound)\|/.test(String(json['name'])));
const OUTBOUND = CLUSTERS.filter(({ json }) => String(json['name']).startsWith('outbound|'));
/** Connections of mode `observe` are as nearly untouched as can be. */
const HTTP = typed('HttpConnectionManager').filter(({ json }) => json['generate_request_id'] !== false);
const ROUTES = typed('RouteConfiguration')
  .filter(({ json }) => !String(json['name']).startsWith('proxy_'))
  .flatMap(({ where, json }) => listOf(json['virtual_hosts']).map((host) => ({ where, host })))
  .flatMap(({ where, host }) => listOf(host['routes']).map((json) => ({ where, json })))
  .filter(({ json }) => isObject(json['route']));

/** Fails with the places at which a fact does not hold, and where there is nothing to look at. */
function holds(found: readonly Found[], fact: (json: Json) => boolean): void {
  assert.notEqual(found.length, 0);
  assert.deepEqual(
    found.filter(({ json }) => !fact(json)).map(({ where }) => where),
    [],
  );
}

test('every cluster says its limits: Envoy has some of its own', () => {
  const limits = ['max_connections', 'max_pending_requests', 'max_requests', 'max_retries'];
  holds(CLUSTERS, (json) => {
    const [threshold, ...others] = listOf(at(json, 'circuit_breakers', 'thresholds'));
    return others.length === 0 && limits.every((limit) => threshold !== undefined && Number(threshold[limit]) > 0);
  });
});

test('every route has a timeout: Envoy would end requests after 15 s; where it is none, callers of gRPC say theirs', () => {
  holds(ROUTES, ({ route }) => {
    if (!isObject(route)) return false;
    const ofGrpc = at(route, 'max_stream_duration', 'grpc_timeout_header_max');
    return route['timeout'] === '0s' ? ofGrpc === '0s' : route['timeout'] !== undefined && ofGrpc === undefined;
  });
});

test('streams may idle (at gateways for an hour, unlike Istio’s), paths are normalised, websockets and Expect pass', () => {
  holds(
    HTTP,
    (json) =>
      json['stream_idle_timeout'] === (json['use_remote_address'] === true ? '3600s' : '0s') &&
      json['normalize_path'] !== undefined &&
      json['proxy_100_continue'] === true &&
      listOf(json['upgrade_configs']).some((upgrade) => upgrade['upgrade_type'] === 'websocket'),
  );
});

test('faults come before CORS, and the router last', () => {
  holds(HTTP, (json) => {
    const names = listOf(json['http_filters']).map(({ name }) => name);
    const [fault, cors] = [names.indexOf('envoy.filters.http.fault'), names.indexOf('envoy.filters.http.cors')];
    return fault >= 0 && fault < cors && names.indexOf('envoy.filters.http.router') === names.length - 1;
  });
});

test('where outliers are looked for, no host is taken for one by success rates, and panic has a threshold', () => {
  holds(
    OUTBOUND.filter(({ json }) => json['outlier_detection'] !== undefined),
    (json) =>
      at(json, 'outlier_detection', 'enforcing_success_rate') === 0 &&
      at(json, 'common_lb_config', 'healthy_panic_threshold') !== undefined,
  );
});

test('a cluster names its service, for statistics', () => {
  holds(CLUSTERS, (json) => listOf(at(json, 'metadata', 'filter_metadata', 'istio', 'services')).length > 0);
});

test('callers of the mesh ask for the cluster by its server name, and for the peer by its SPIFFE id', () => {
  // The rule of that case says other names.
  const mesh = typed('UpstreamTlsContext').filter(
    ({ where, json }) => JSON.stringify(json).includes('"istio"') && !where.startsWith('dr-tls-istio-mutual:'),
  );
  holds(mesh, (json) => {
    const context = at(json, 'common_tls_context', 'combined_validation_context', 'default_validation_context');
    const names = isObject(context) ? listOf(context['match_typed_subject_alt_names']) : [];
    const areIds = names.every(({ matcher }) => isObject(matcher) && String(matcher['exact']).startsWith('spiffe://'));
    return /^outbound_\.\d+_\.[^_]*_\./.test(String(json['sni'])) && names.length > 0 && areIds;
  });
});

test('a limiter limits: Envoy enables and enforces none unless it is told to', () => {
  const limiters = typed('LocalRateLimit').filter(
    ({ json }) => json['token_bucket'] !== undefined || json['descriptors'] !== undefined,
  );
  holds(limiters, (json) => ['filter_enabled', 'filter_enforced'].every((share) => json[share] !== undefined));
});

test('shares of several clusters are above 0', () => {
  const weighted = ROUTES.filter(({ json }) => at(json, 'route', 'weighted_clusters') !== undefined);
  holds(weighted, (json) =>
    listOf(at(json, 'route', 'weighted_clusters', 'clusters')).every(({ weight }) => Number(weight) > 0),
  );
});

test('no two virtual hosts of a port have one domain: Envoy refuses them', () => {
  holds(typed('RouteConfiguration'), (json) => {
    const domains = listOf(json['virtual_hosts']).flatMap((host) => host['domains']);
    return domains.length > 0 && new Set(domains).size === domains.length;
  });
});
