/** Translated resources as plain JSON with proto field names, extensions resolved. */
import { createRegistry, fromBinary, type JsonObject, type JsonValue, toJson } from '@bufbuild/protobuf';
import { ClusterSchema } from '../../src/gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '../../src/gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '../../src/gen/envoy/config/route/v3/route_pb.ts';
import { FileAccessLogSchema } from '../../src/gen/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '../../src/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts';
import { DnsClusterSchema } from '../../src/gen/envoy/extensions/clusters/dns/v3/dns_cluster_pb.ts';
import { RouterSchema } from '../../src/gen/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { HttpInspectorSchema } from '../../src/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts';
import { OriginalDstSchema } from '../../src/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts';
import { OriginalSrcSchema } from '../../src/gen/envoy/extensions/filters/listener/original_src/v3/original_src_pb.ts';
import { TlsInspectorSchema } from '../../src/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts';
import { HttpConnectionManagerSchema } from '../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { ConfigSchema } from '../../src/gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts';
import { TcpProxySchema } from '../../src/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { DnsFilterConfigSchema } from '../../src/gen/envoy/extensions/filters/udp/dns_filter/v3/dns_filter_pb.ts';
import { HeaderMutationSchema } from '../../src/gen/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation_pb.ts';
import { PreserveCaseFormatterConfigSchema } from '../../src/gen/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.ts';
import {
  EndpointMetadataInputSchema,
  FilterStateInputSchema,
  TransportSocketNameActionSchema,
} from '../../src/gen/envoy/extensions/matching/common_inputs/transport_socket/v3/transport_socket_inputs_pb.ts';
import { PreviousHostsPredicateSchema } from '../../src/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts';
import { PreviousPrioritiesConfigSchema } from '../../src/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts';
import { RawBufferSchema } from '../../src/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts';
import { SecretSchema } from '../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { HttpProtocolOptionsSchema } from '../../src/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import type { Resource, Resources } from '../../src/xds/resource.ts';

const registry = createRegistry(
  FileAccessLogSchema,
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
  DnsClusterSchema,
  RouterSchema,
  HttpInspectorSchema,
  OriginalDstSchema,
  OriginalSrcSchema,
  TlsInspectorSchema,
  EndpointMetadataInputSchema,
  FilterStateInputSchema,
  TransportSocketNameActionSchema,
  HttpConnectionManagerSchema,
  ConfigSchema,
  TcpProxySchema,
  DnsFilterConfigSchema,
  HeaderMutationSchema,
  PreserveCaseFormatterConfigSchema,
  PreviousHostsPredicateSchema,
  PreviousPrioritiesConfigSchema,
  RawBufferSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
  HttpProtocolOptionsSchema,
);

const SCHEMAS = [ClusterSchema, ClusterLoadAssignmentSchema, ListenerSchema, RouteConfigurationSchema, SecretSchema];

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `@type` first, then by name. */
function sortKeys(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => {
    if (a === '@type') return -1;
    if (b === '@type') return 1;
    return a < b ? -1 : 1;
  });
  return Object.fromEntries(entries.map(([key, child]) => [key, sortKeys(child)]));
}

export function resourceJson(typeUrl: string, { value }: Resource): JsonObject {
  const schema = SCHEMAS.find(({ typeName }) => typeUrl.endsWith(`/${typeName}`));
  if (schema === undefined) throw new Error(`no schema for ${typeUrl}`);
  const json = toJson(schema, fromBinary(schema, value), { registry, useProtoFieldName: true });
  const sorted = sortKeys({ '@type': typeUrl, ...(isObject(json) ? json : {}) });
  if (!isObject(sorted)) throw new Error(`${typeUrl} is no message`);
  return sorted;
}

/** All resources of the types whose URL ends in one of `kinds` (such as `Cluster`), sorted by type and name. */
export function resourcesJson(resources: Resources, kinds?: readonly string[]): readonly JsonObject[] {
  return [...resources]
    .filter(([typeUrl]) => kinds === undefined || kinds.some((kind) => typeUrl.endsWith(`.${kind}`)))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([typeUrl, byName]) => [...byName.values()].map((resource) => resourceJson(typeUrl, resource)));
}
