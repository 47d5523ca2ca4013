/**
 * How Envoy cuts the names of its statistics into tags. Envoy's own rule for clusters stops at the first dot, which
 * names such as `outbound|9080||reviews.default.mesh` have.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/metrics/v3/stats.proto
 */

/**
 * What ends a cluster's `alt_stat_name` when the name itself has dots, as Istio does it:
 * `outbound|9080||reviews.default.mesh;` keeps its name whole in the tag `envoy.cluster_name`.
 */
export const STAT_NAME_END = ';';

/**
 * Names that end in `;` are kept whole. HTTP has names of Envoy itself beside them, such as `admin`: one rule for both,
 * since Envoy warns at every name that two rules for one tag are asked for.
 */
const OWN_TAGS = [
  { tag_name: 'envoy.cluster_name', regex: `^cluster\\.((.+?)${STAT_NAME_END}\\.)` },
  {
    tag_name: 'envoy.http_conn_manager_prefix',
    regex: `^http\\.((.+?(?=${STAT_NAME_END}\\.)|[^.${STAT_NAME_END}]+(?=\\.[^${STAT_NAME_END}]*$))${STAT_NAME_END}?\\.)`,
  },
  { tag_name: 'envoy.tcp_prefix', regex: `^tcp\\.((.+?)${STAT_NAME_END}\\.)` },
  // Limits that a server counts: the name stands within the statistics of the application's cluster.
  { tag_name: 'envoy.http_ratelimit_prefix', regex: `^cluster\\..+?${STAT_NAME_END}\\.ratelimit\\.((.+?)\\.)\\w+$` },
] as const;

/** Rules of Envoy that are kept as they are; the rest is for protocols that a mesh of hosts does not speak. */
const ENVOY_TAGS = [
  'envoy.listener_address',
  'envoy.response_code',
  'envoy.response_code_class',
  'envoy.virtual_host',
  'envoy.virtual_cluster',
  'envoy.worker_id',
  'envoy.ssl_cipher',
  'envoy.ssl_version',
  'envoy.rbac_prefix',
  'envoy.rbac_http_prefix',
  'envoy.rbac_policy_name',
  'envoy.ext_authz_prefix',
  'envoy.ratelimit_prefix',
  'envoy.local_http_ratelimit_prefix',
  'envoy.local_listener_ratelimit_prefix',
  'envoy.local_network_ratelimit_prefix',
  'envoy.connection_limit_prefix',
  'envoy.dns_filter_prefix',
] as const;

/** `stats_config` in Envoy's JSON form. */
export function statsConfig(): Readonly<Record<string, unknown>> {
  return {
    // Envoy skips a rule whose tag one of its own rules has: replacing one means naming the others.
    use_all_default_tags: false,
    stats_tags: [...OWN_TAGS, ...ENVOY_TAGS.map((tag_name) => ({ tag_name }))],
  };
}
