/** What a cluster does with the requests that reach it, in words and figures. */

import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isObject } from '../envoy-api/resource-json.ts';
import type { ClusterFacts, TlsFacts } from '../model/explanation.ts';
import { at, objectsAt, textAt } from './json-access.ts';

const NO_LIMIT = 4_294_967_295;

/** `max_pending_requests` → `maxPendingRequests`. */
function camel(key: string): string {
  return key.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function socketFacts(socket: JsonValue | undefined): TlsFacts {
  const config = at(socket, 'typed_config');
  const common = at(config, 'common_tls_context');
  const hasCertificate =
    objectsAt(common, 'tls_certificate_sds_secret_configs').length + objectsAt(common, 'tls_certificates').length > 0;
  const validation =
    at(common, 'combined_validation_context', 'default_validation_context') ?? at(common, 'validation_context');
  const peers = objectsAt(validation, 'match_typed_subject_alt_names').flatMap(({ matcher }) => {
    const name = textAt(matcher, 'exact') || textAt(matcher, 'prefix') || textAt(matcher, 'suffix');
    return name === '' ? [] : [name];
  });
  return {
    mode: hasCertificate ? 'mutual' : 'simple',
    sni: textAt(config, 'sni') || undefined,
    peers: [...new Set(peers)],
  };
}

function tlsFacts(cluster: JsonObject): TlsFacts {
  const own = cluster['transport_socket'];
  const matched = objectsAt(cluster, 'transport_socket_matches').map((match) => match['transport_socket']);
  const sockets = [...(own === undefined ? [] : [own]), ...matched];
  const tls = sockets.find((socket) => textAt(socket, 'name').endsWith('.tls'));
  if (tls === undefined) return { mode: 'plain', sni: undefined, peers: [] };
  const facts = socketFacts(tls);
  const orPlain = sockets.some((socket) => textAt(socket, 'name').endsWith('.raw_buffer'));
  return orPlain && facts.mode === 'mutual' ? { ...facts, mode: 'mutual-or-plain' } : facts;
}

function limits(cluster: JsonObject): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [key, value] of Object.entries(objectsAt(cluster, 'circuit_breakers', 'thresholds')[0] ?? {}))
    if (typeof value === 'number' && value < NO_LIMIT) found[camel(key)] = value;
  const perConnection = at(cluster, 'max_requests_per_connection');
  if (typeof perConnection === 'number') found['maxRequestsPerConnection'] = perConnection;
  return found;
}

function detection(cluster: JsonObject): ClusterFacts['outlierDetection'] {
  const outliers = cluster['outlier_detection'];
  if (!isObject(outliers)) return undefined;
  // How much of a detection is enforced only says again which there are.
  const told = Object.entries(outliers).filter(([key]) => !key.startsWith('enforcing_'));
  const plain = told.flatMap(([key, value]): [string, string | number | boolean][] =>
    typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? [[camel(key), value]] : [],
  );
  return Object.fromEntries(plain);
}

function endpointCount(assignment: JsonValue | undefined): ClusterFacts['endpoints'] {
  if (assignment === undefined) return undefined;
  const all = objectsAt(assignment, 'endpoints').flatMap((group) => objectsAt(group, 'lb_endpoints'));
  const healthy = all.filter((endpoint) => ['', 'HEALTHY', 'UNKNOWN'].includes(textAt(endpoint, 'health_status')));
  return { total: all.length, healthy: healthy.length };
}

/** @param assignment the cluster's load assignment, where its endpoints come by EDS */
export function clusterFacts(cluster: JsonObject, assignment: JsonObject | undefined): ClusterFacts {
  const typeName = textAt(cluster, 'cluster_type', 'name').replace(/^envoy\.clusters?\./, '');
  const type = (textAt(cluster, 'type') || typeName || 'STATIC').toUpperCase();
  return {
    type,
    loadBalancing: textAt(cluster, 'lb_policy') || 'ROUND_ROBIN',
    connectTimeout: textAt(cluster, 'connect_timeout') || undefined,
    tls: tlsFacts(cluster),
    circuitBreakers: limits(cluster),
    outlierDetection: detection(cluster),
    endpoints: endpointCount(type === 'EDS' ? (assignment ?? {}) : at(cluster, 'load_assignment')),
  };
}
