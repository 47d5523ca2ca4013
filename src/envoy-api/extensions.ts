/** Every extension that our resources may hold, so that they can be read and written as JSON. */
import { createRegistry, type Registry } from '@bufbuild/protobuf';
import { FilterConfigSchema } from '../gen/envoy/config/route/v3/route_components_pb.ts';
import { FileAccessLogSchema } from '../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts';
import { DnsClusterSchema } from '../gen/envoy/extensions/clusters/dns/v3/dns_cluster_pb.ts';
import { ClusterConfigSchema as DynamicForwardProxyClusterSchema } from '../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts';
import { ExtensionWithMatcherSchema } from '../gen/envoy/extensions/common/matching/v3/extension_matcher_pb.ts';
import { SkipFilterSchema } from '../gen/envoy/extensions/filters/common/matcher/action/v3/skip_action_pb.ts';
import { CorsPolicySchema, CorsSchema } from '../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import { FilterConfigSchema as DynamicForwardProxySchema } from '../gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts';
import {
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
} from '../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts';
import { HTTPFaultSchema } from '../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { GrpcWebSchema } from '../gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.ts';
import { LocalRateLimitSchema } from '../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts';
import {
  RateLimitPerRouteSchema,
  RateLimitSchema,
} from '../gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.ts';
import { RouterSchema } from '../gen/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { HttpInspectorSchema } from '../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts';
import { OriginalDstSchema } from '../gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts';
import { OriginalSrcSchema } from '../gen/envoy/extensions/filters/listener/original_src/v3/original_src_pb.ts';
import { ProxyProtocolSchema } from '../gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts';
import { TlsInspectorSchema } from '../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts';
import { HttpConnectionManagerSchema } from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { ConfigSchema } from '../gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts';
import { FilterConfigSchema as SniDynamicForwardProxySchema } from '../gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts';
import { TcpProxySchema } from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { DnsFilterConfigSchema } from '../gen/envoy/extensions/filters/udp/dns_filter/v3/dns_filter_pb.ts';
import { HeaderMutationSchema } from '../gen/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation_pb.ts';
import { PreserveCaseFormatterConfigSchema } from '../gen/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.ts';
import {
  DirectSourceIPInputSchema,
  SourceIPInputSchema,
} from '../gen/envoy/extensions/matching/common_inputs/network/v3/network_inputs_pb.ts';
import { UriSanInputSchema } from '../gen/envoy/extensions/matching/common_inputs/ssl/v3/ssl_inputs_pb.ts';
import {
  EndpointMetadataInputSchema,
  FilterStateInputSchema,
  TransportSocketNameActionSchema,
} from '../gen/envoy/extensions/matching/common_inputs/transport_socket/v3/transport_socket_inputs_pb.ts';
import { CaresDnsResolverConfigSchema } from '../gen/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver_pb.ts';
import { DescriptorSchema } from '../gen/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.ts';
import { PreviousHostsPredicateSchema } from '../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts';
import { PreviousPrioritiesConfigSchema } from '../gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import { RawBufferSchema } from '../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts';
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { HttpProtocolOptionsSchema } from '../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { HttpRequestHeaderMatchInputSchema } from '../gen/envoy/type/matcher/v3/http_inputs_pb.ts';
import { TypedStructSchema } from '../gen/xds/type/v3/typed_struct_pb.ts';

/** The messages that translation packs into others, by type URL. */
export const EXTENSIONS: Registry = createRegistry(
  FileAccessLogSchema,
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
  DnsClusterSchema,
  ExtensionWithMatcherSchema,
  SkipFilterSchema,
  CorsSchema,
  CorsPolicySchema,
  HTTPFaultSchema,
  GrpcWebSchema,
  FilterConfigSchema,
  LocalRateLimitSchema,
  RateLimitPerRouteSchema,
  RateLimitSchema,
  ExtAuthzSchema,
  ExtAuthzPerRouteSchema,
  CaresDnsResolverConfigSchema,
  RouterSchema,
  HttpInspectorSchema,
  OriginalDstSchema,
  OriginalSrcSchema,
  ProxyProtocolSchema,
  TlsInspectorSchema,
  HttpConnectionManagerSchema,
  ConfigSchema,
  TcpProxySchema,
  DnsFilterConfigSchema,
  HeaderMutationSchema,
  PreserveCaseFormatterConfigSchema,
  DirectSourceIPInputSchema,
  SourceIPInputSchema,
  UriSanInputSchema,
  HttpRequestHeaderMatchInputSchema,
  DescriptorSchema,
  EndpointMetadataInputSchema,
  FilterStateInputSchema,
  TransportSocketNameActionSchema,
  PreviousHostsPredicateSchema,
  PreviousPrioritiesConfigSchema,
  ProxyProtocolUpstreamTransportSchema,
  RawBufferSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
  HttpProtocolOptionsSchema,
  DynamicForwardProxyClusterSchema,
  DynamicForwardProxySchema,
  SniDynamicForwardProxySchema,
  TypedStructSchema,
);
