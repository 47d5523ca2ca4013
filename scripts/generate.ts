// Generates src/gen from the Envoy protos of @grpc/grpc-js-xds and our own: copies the files that the entry points
// import into a scratch module, and has buf and protoc-gen-es write TypeScript, without the annotation options that
// only documentation and C++ validation use (they would cost the agent memory at run time).
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const shipped = join(root, 'node_modules/@grpc/grpc-js-xds/deps');
const searchPath = [
  join(root, 'protos'),
  ...['envoy-api', 'googleapis', 'xds', 'protoc-gen-validate'].map((d) => join(shipped, d)),
];
const stampFile = join(root, '.tools/gen.stamp');
const outDir = join(root, 'src/gen');

const entryPoints = [
  // The transport.
  'envoy/service/discovery/v3/ads.proto',
  'envoy/service/status/v3/csds.proto',
  'google/rpc/status.proto',
  // What it carries.
  'envoy/config/bootstrap/v3/bootstrap.proto',
  'envoy/config/cluster/v3/cluster.proto',
  'envoy/config/common/matcher/v3/matcher.proto',
  'envoy/config/endpoint/v3/endpoint.proto',
  'envoy/config/listener/v3/listener.proto',
  'envoy/config/route/v3/route.proto',
  // Extensions inside of these.
  'envoy/extensions/access_loggers/file/v3/file.proto',
  'envoy/extensions/access_loggers/stream/v3/stream.proto',
  'envoy/extensions/clusters/dns/v3/dns_cluster.proto',
  'envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.proto',
  'envoy/extensions/common/matching/v3/extension_matcher.proto',
  'envoy/extensions/filters/common/matcher/action/v3/skip_action.proto',
  'envoy/extensions/filters/http/cors/v3/cors.proto',
  'envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy.proto',
  'envoy/extensions/filters/http/fault/v3/fault.proto',
  'envoy/extensions/filters/http/grpc_web/v3/grpc_web.proto',
  'envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto',
  'envoy/extensions/filters/http/health_check/v3/health_check.proto',
  'envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto',
  'envoy/extensions/filters/http/on_demand/v3/on_demand.proto',
  'envoy/extensions/filters/http/ratelimit/v3/rate_limit.proto',
  'envoy/extensions/filters/http/router/v3/router.proto',
  'envoy/extensions/filters/listener/http_inspector/v3/http_inspector.proto',
  'envoy/extensions/filters/listener/original_dst/v3/original_dst.proto',
  'envoy/extensions/filters/listener/original_src/v3/original_src.proto',
  'envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.proto',
  'envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto',
  'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
  'envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.proto',
  'envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy.proto',
  'envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto',
  'envoy/extensions/filters/udp/dns_filter/v3/dns_filter.proto',
  'envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.proto',
  'envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case.proto',
  'envoy/extensions/matching/common_inputs/network/v3/network_inputs.proto',
  'envoy/extensions/matching/common_inputs/ssl/v3/ssl_inputs.proto',
  'envoy/extensions/matching/common_inputs/transport_socket/v3/transport_socket_inputs.proto',
  'envoy/extensions/rate_limit_descriptors/expr/v3/expr.proto',
  'envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto',
  'envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.proto',
  'envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.proto',
  'envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.proto',
  'envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.proto',
  'envoy/extensions/transport_sockets/tls/v3/tls.proto',
  'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
  'envoy/type/matcher/v3/http_inputs.proto',
  // What an EnvoyFilter brings of its own.
  'xds/type/v3/typed_struct.proto',
  // What a rate limit service speaks.
  'envoy/service/ratelimit/v3/rls.proto',
  // The certificate authority.
  'istio/v1/ca.proto',
];

/** Options that annotate the Envoy API and mean nothing at run time. */
const droppedOptions = [
  'validate.rules',
  'validate.disabled',
  'validate.required',
  'udpa.annotations.versioning',
  'udpa.annotations.file_status',
  'udpa.annotations.file_migrate',
  'udpa.annotations.message_migrate',
  'udpa.annotations.field_migrate',
  'udpa.annotations.enum_migrate',
  'udpa.annotations.enum_value_migrate',
  'udpa.annotations.security',
  'udpa.annotations.sensitive',
  'xds.annotations.v3.file_status',
  'xds.annotations.v3.message_status',
  'xds.annotations.v3.field_status',
  'google.api.http',
  'envoy.annotations.deprecated_at_minor_version',
  'envoy.annotations.deprecated_at_minor_version_enum',
  'envoy.annotations.disallowed_by_default',
  'envoy.annotations.disallowed_by_default_enum',
];

function findProto(path: string): string {
  const dir = searchPath.find((d) => existsSync(join(d, path)));
  if (dir === undefined) throw new Error(`${path}: imported by a proto file, but in none of ${searchPath.join(', ')}`);
  return readFileSync(join(dir, path), 'utf8');
}

/** All files that the entry points need, by path, with their text. */
function importClosure(): Map<string, string> {
  const files = new Map<string, string>();
  const queue = [...entryPoints];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (files.has(path) || path.startsWith('google/protobuf/')) continue;
    const text = findProto(path);
    files.set(path, text);
    for (const found of text.matchAll(/^import (?:public )?"([^"]+)"/gm)) queue.push(found[1] ?? '');
  }
  return files;
}

/** The validate.proto that is shipped lacks a field which the Envoy protos shipped with it use. */
function completeValidateRules(text: string): string {
  return text.includes('ignore_empty = 26')
    ? text
    : text.replace('message StringRules {', 'message StringRules {\n  optional bool ignore_empty = 26;');
}

/** Fields newer than the Envoy API that is shipped, at their published numbers. */
function completeCluster(text: string): string {
  return text.includes('transport_socket_matcher')
    ? text
    : text
        .replace('import "xds/core/v3/', 'import "xds/type/matcher/v3/matcher.proto";\nimport "xds/core/v3/')
        .replace(
          'message Cluster {',
          'message Cluster {\n  xds.type.matcher.v3.Matcher transport_socket_matcher = 59;',
        );
}

function completeCircuitBreakers(text: string): string {
  return text.includes('budget_interval')
    ? text
    : text
        .replace(
          'import "google/protobuf/wrappers.proto";',
          'import "google/protobuf/duration.proto";\nimport "google/protobuf/wrappers.proto";',
        )
        .replace(
          'type.v3.Percent budget_percent = 1;',
          'type.v3.Percent budget_percent = 1;\n      google.protobuf.Duration budget_interval = 3;',
        );
}

function completeUpstreamHttp(text: string): string {
  return text.includes('error_matcher')
    ? text
    : text
        .replace(
          'import "envoy/config/core/v3/extension.proto";',
          'import "envoy/config/common/matcher/v3/matcher.proto";\nimport "envoy/config/core/v3/extension.proto";',
        )
        .replace(
          'message HttpProtocolOptions {',
          'message HttpProtocolOptions {\n  message OutlierDetection {\n    config.common.matcher.v3.MatchPredicate error_matcher = 1;\n  }\n  OutlierDetection outlier_detection = 8;',
        );
}

function completeLocalRateLimit(text: string): string {
  return text.includes('max_dynamic_descriptors')
    ? text
    : text
        .replace(
          'import "envoy/config/core/v3/base.proto";',
          'import "envoy/config/core/v3/base.proto";\nimport "envoy/config/route/v3/route_components.proto";',
        )
        .replace(
          'message LocalRateLimit {',
          'message LocalRateLimit {\n  repeated config.route.v3.RateLimit rate_limits = 17;\n  google.protobuf.UInt32Value max_dynamic_descriptors = 18;\n  bool enable_retry_after_header = 19;',
        );
}

function completeRateLimit(text: string): string {
  return text.includes('filter_enforced')
    ? text
    : text
        .replace('repeated RateLimitConfig rate_limits', 'repeated config.route.v3.RateLimit rate_limits')
        .replace(
          'message RateLimit {',
          'message RateLimit {\n  config.core.v3.RuntimeFractionalPercent filter_enabled = 14;\n  config.core.v3.RuntimeFractionalPercent filter_enforced = 15;\n  repeated config.route.v3.RateLimit rate_limits = 17;\n  bool enable_retry_after_header = 19;',
        );
}

function completeRoute(text: string): string {
  return text.includes('RateLimitOverride')
    ? text
    : text
        .replace(
          'import "envoy/type/v3/percent.proto";',
          'import "envoy/type/v3/percent.proto";\nimport "envoy/type/v3/ratelimit_unit.proto";',
        )
        .replace(
          'message Override {',
          'message Override {\n    message RateLimitOverride {\n      uint32 requests_per_unit = 1;\n      type.v3.RateLimitUnit unit = 2;\n    }',
        )
        .replace(
          'DynamicMetadata dynamic_metadata = 1;',
          'DynamicMetadata dynamic_metadata = 1;\n      RateLimitOverride rate_limit = 2;',
        );
}

const completed: Readonly<Record<string, (text: string) => string>> = {
  'validate/validate.proto': completeValidateRules,
  'envoy/config/cluster/v3/cluster.proto': completeCluster,
  'envoy/config/route/v3/route_components.proto': completeRoute,
  'envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto': completeLocalRateLimit,
  'envoy/extensions/filters/http/ratelimit/v3/rate_limit.proto': completeRateLimit,
  'envoy/config/cluster/v3/circuit_breaker.proto': completeCircuitBreakers,
  'envoy/extensions/upstreams/http/v3/http_protocol_options.proto': completeUpstreamHttp,
};

const files = importClosure();
const digest = createHash('sha256');
digest.update(readFileSync(import.meta.filename)).update(readFileSync(join(root, 'package-lock.json')));
for (const [path, text] of [...files].sort(([a], [b]) => a.localeCompare(b))) digest.update(path).update(text);
const stamp = digest.digest('hex');
if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp && existsSync(join(outDir, 'istio'))) {
  process.exit(0);
}

// A folder of its own for each run: two set-ups of one checkout may overlap.
const scratch = mkdtempSync(join(root, '.tools/protos-'));
for (const [path, text] of files) {
  const target = join(scratch, 'in', path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, completed[path]?.(text) ?? text);
}
writeFileSync(join(scratch, 'buf.yaml'), JSON.stringify({ version: 'v2', modules: [{ path: 'in' }] }));
const annotationsUsed = [...files.values()].join('\n');
writeFileSync(
  join(scratch, 'buf.gen.yaml'),
  JSON.stringify({
    version: 'v2',
    inputs: [
      {
        directory: '.',
        paths: entryPoints.map((p) => join('in', p)),
        // buf refuses to drop an option that no file declares.
        exclude_types: droppedOptions.filter((o) =>
          annotationsUsed.includes(`package ${o.slice(0, o.lastIndexOf('.'))};`),
        ),
      },
    ],
    plugins: [
      {
        local: join(root, 'node_modules/.bin/protoc-gen-es'),
        out: 'out',
        include_imports: true,
        opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
      },
    ],
  }),
);
execFileSync(join(root, 'node_modules/.bin/buf'), ['generate'], {
  cwd: scratch,
  stdio: 'inherit',
  env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}` },
});
for (const name of readdirSync(join(scratch, 'out'))) {
  rmSync(join(outDir, name), { recursive: true, force: true });
  renameSync(join(scratch, 'out', name), join(outDir, name));
}
rmSync(scratch, { recursive: true });
writeFileSync(stampFile, stamp);
