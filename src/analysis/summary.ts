/** Envoy's resources as tables for people: one row for each chain, route, cluster and endpoint. */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isObject } from '../envoy-api/resource-json.ts';
import { at, objectsAt, textAt, textsAt } from './json-access.ts';
import { actionWords, matchWords, policyWords } from './route-words.ts';

export interface SummaryTable {
  readonly heading: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function addressWords(address: JsonValue | undefined): string {
  const pipe = textAt(address, 'pipe', 'path');
  if (pipe !== '') return `unix:${pipe}`;
  const host = textAt(address, 'socket_address', 'address');
  const port = textAt(address, 'socket_address', 'port_value');
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function rangeWords(range: JsonObject): string {
  const length = textAt(range, 'prefix_len');
  const address = textAt(range, 'address_prefix');
  return length === (address.includes(':') ? '128' : '32') ? address : `${address}/${length}`;
}

function chainWords(chain: JsonObject): string {
  const match = chain['filter_chain_match'];
  const port = textAt(match, 'destination_port');
  const names = textsAt(match, 'server_names');
  const protocols = textsAt(match, 'application_protocols');
  return [
    ...objectsAt(match, 'prefix_ranges').map(rangeWords).slice(0, 2),
    ...(port === '' ? [] : [`port ${port}`]),
    ...(textAt(match, 'transport_protocol') === 'tls' ? ['TLS'] : []),
    ...(textAt(match, 'transport_protocol') === 'raw_buffer' ? ['plain'] : []),
    ...(names.length === 0 ? [] : [`SNI ${names.join(' ')}`]),
    ...(protocols.length === 0
      ? []
      : [protocols.some((one) => one.startsWith('istio')) ? 'mesh' : protocols.join(' ')]),
  ].join(' ');
}

function tcpClusters(proxy: JsonValue | undefined): string {
  const weighted = objectsAt(proxy, 'weighted_clusters', 'clusters');
  return weighted.length === 0
    ? textAt(proxy, 'cluster')
    : weighted.map((one) => `${textAt(one, 'weight')}× ${textAt(one, 'name')}`).join(', ');
}

/** What becomes of connections of a chain: routes of an HTTP one, the cluster of another. */
function destinationWords(chain: JsonObject): string {
  for (const { typed_config: filter } of objectsAt(chain, 'filters')) {
    const type = textAt(filter, '@type');
    if (type.endsWith('.HttpConnectionManager')) {
      const inline = objectsAt(filter, 'route_config', 'virtual_hosts').flatMap((one) => objectsAt(one, 'routes'));
      const [only, ...others] = inline;
      if (only !== undefined && others.length === 0) return `HTTP → ${actionWords(only)}`;
      return `HTTP, routes ${textAt(filter, 'rds', 'route_config_name') || textAt(filter, 'route_config', 'name')}`;
    }
    if (type.endsWith('.TcpProxy')) return `TCP → ${tcpClusters(filter)}`;
  }
  return '-';
}

function listenerRows(listener: JsonObject): readonly (readonly string[])[] {
  const last = listener['default_filter_chain'];
  const chains = [...objectsAt(listener, 'filter_chains'), ...(isObject(last) ? [last] : [])];
  const name = textAt(listener, 'name');
  const place = addressWords(listener['address']);
  if (chains.length === 0) return [[name, place, '', '-']];
  return chains.map((chain, i) => [
    i === 0 ? name : '',
    i === 0 ? place : '',
    chain === last ? 'all others' : chainWords(chain),
    destinationWords(chain),
  ]);
}

function routeRows(config: JsonObject): readonly (readonly string[])[] {
  return objectsAt(config, 'virtual_hosts').flatMap((virtualHost, i) => {
    const domains = textsAt(virtualHost, 'domains');
    const shown = `${domains.slice(0, 2).join(' ')}${domains.length > 2 ? ` +${domains.length - 2}` : ''}`;
    const own = objectsAt(virtualHost, 'routes').map((route) => [
      textAt(route, 'name') || '-',
      matchWords(route['match']),
      actionWords(route),
      policyWords(route),
    ]);
    const redirect =
      textAt(virtualHost, 'require_tls') === 'ALL' ? [['-', 'without TLS', 'redirect to https', '']] : [];
    return [...redirect, ...own].map((cells, j) => [
      i === 0 && j === 0 ? textAt(config, 'name') : '',
      j === 0 ? shown : '',
      ...cells,
    ]);
  });
}

function securityWords(cluster: JsonObject): string {
  const matches = objectsAt(cluster, 'transport_socket_matches').map((one) => one['transport_socket']);
  const sockets = [at(cluster, 'transport_socket'), ...matches].filter((one) => one !== undefined);
  const tls = sockets.filter((one) => textAt(one, 'name').endsWith('.tls'));
  if (tls.length === 0) return cluster['transport_socket_matcher'] === undefined ? 'plain' : 'by caller';
  const mutual = tls.some((one) => {
    const common = at(one, 'typed_config', 'common_tls_context');
    return (
      objectsAt(common, 'tls_certificate_sds_secret_configs').length + objectsAt(common, 'tls_certificates').length > 0
    );
  });
  return `${mutual ? 'mutual TLS' : 'TLS'}${tls.length < sockets.length ? ' or plain' : ''}`;
}

function clusterRow(cluster: JsonObject): readonly string[] {
  const type = textAt(cluster, 'type') || textAt(cluster, 'cluster_type', 'name').replace(/^envoy\.clusters?\./, '');
  const limits = Object.entries(objectsAt(cluster, 'circuit_breakers', 'thresholds')[0] ?? {}).flatMap(
    ([key, value]) =>
      typeof value === 'number' && value < 4_294_967_295 ? [`${key.replaceAll('_', ' ')} ${value}`] : [],
  );
  return [
    textAt(cluster, 'name'),
    type.toUpperCase() || 'STATIC',
    (textAt(cluster, 'lb_policy') || 'ROUND_ROBIN').toLowerCase().replaceAll('_', ' '),
    securityWords(cluster),
    [...limits, ...(cluster['outlier_detection'] === undefined ? [] : ['outlier detection'])].join(', '),
  ];
}

function endpointRows(assignment: JsonObject): readonly (readonly string[])[] {
  const rows = objectsAt(assignment, 'endpoints').flatMap((group) => {
    const place = ['region', 'zone', 'sub_zone'].map((part) => textAt(group, 'locality', part));
    const locality = place.join('/').replace(/\/+$/, '');
    return objectsAt(group, 'lb_endpoints').map((endpoint) => [
      addressWords(at(endpoint, 'endpoint', 'address')),
      textAt(endpoint, 'health_status').toLowerCase() || 'healthy',
      textAt(endpoint, 'load_balancing_weight') || '1',
      locality === '' ? '-' : locality,
      textAt(group, 'priority') || '0',
    ]);
  });
  const name = textAt(assignment, 'cluster_name');
  return rows.length === 0 ? [[name, 'none', '', '', '', '']] : rows.map((row, i) => [i === 0 ? name : '', ...row]);
}

interface Kind {
  readonly suffix: string;
  readonly heading: readonly string[];
  rows(this: void, resource: JsonObject): readonly (readonly string[])[];
}

/** In the order in which a connection meets them. */
const KINDS: readonly Kind[] = [
  { suffix: '.Listener', heading: ['LISTENER', 'ADDRESS', 'CONNECTIONS', 'DESTINATION'], rows: listenerRows },
  {
    suffix: '.RouteConfiguration',
    heading: ['ROUTES', 'HOSTS', 'NAME', 'REQUESTS', 'DESTINATION', 'POLICY'],
    rows: routeRows,
  },
  {
    suffix: '.Cluster',
    heading: ['CLUSTER', 'TYPE', 'BALANCING', 'SECURITY', 'LIMITS'],
    rows: (cluster) => [clusterRow(cluster)],
  },
  {
    suffix: '.ClusterLoadAssignment',
    heading: ['ENDPOINTS OF', 'ADDRESS', 'HEALTH', 'WEIGHT', 'LOCALITY', 'PRIORITY'],
    rows: endpointRows,
  },
];

/** A table for each kind of which there is something. Rows that go on with the one above begin with empty cells. */
export function summaryTables(resources: readonly JsonObject[]): readonly SummaryTable[] {
  return KINDS.flatMap(({ suffix, heading, rows }) => {
    const all = resources.filter((resource) => textAt(resource, '@type').endsWith(suffix)).flatMap(rows);
    return all.length === 0 ? [] : [{ heading, rows: all }];
  });
}
