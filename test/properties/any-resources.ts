/** Sets of resources of every kind, over so few names that they meet; nearly all of them valid. */
import * as fc from 'fast-check';
import { some } from '../traffic/odd-routes.ts';
import { destinationRule } from './destination-rules.ts';
import { serviceEntry, workloadEntry } from './service-entries.ts';
import { virtualService } from './virtual-services.ts';
import {
  aDuration,
  aFile,
  aNamespace,
  aPort,
  aSelector,
  aWrittenHost,
  exportTo,
  HOSTS,
  type Written,
} from './words.ts';

const protocolName = fc.constantFrom('HTTP', 'HTTP2', 'GRPC', 'TCP', 'TLS');

const serverTls = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL'),
      fc.constantFrom('one', 'two'),
      some({
        minProtocolVersion: fc.constant('TLSV1_2'),
        maxProtocolVersion: fc.constant('TLSV1_3'),
        cipherSuites: fc.constant(['ECDHE-RSA-AES256-GCM-SHA384']),
        subjectAltNames: fc.constant(['partner.example.com']),
      }),
    )
    .map(([mode, credentialName, rest]) => ({ mode, credentialName, ...rest })),
  aFile.map((serverCertificate) => ({ mode: 'SIMPLE', serverCertificate, privateKey: '/etc/files/tls.key' })),
  fc.constantFrom({ mode: 'PASSTHROUGH' }, { mode: 'AUTO_PASSTHROUGH' }, { mode: 'ISTIO_MUTUAL' }),
);
const gatewayHosts = fc.uniqueArray(
  fc.constantFrom(...HOSTS, '*', './*', 'shop/*.example.com', 'default/a.default.mesh'),
  {
    minLength: 1,
    maxLength: 3,
  },
);
const server = fc
  .tuple(
    fc.constantFrom(80, 443, 8080),
    fc.oneof(
      fc.tuple(fc.constantFrom('HTTP', 'HTTP2', 'GRPC'), some({ tls: fc.constant({ httpsRedirect: true }) })),
      fc.tuple(fc.constant('TCP'), fc.constant({})),
      fc.tuple(fc.constantFrom('HTTPS', 'TLS'), fc.record({ tls: serverTls })),
    ),
    gatewayHosts,
    some({ bind: fc.constantFrom('10.0.0.5', '0.0.0.0', '::1') }),
  )
  .map(([number, [protocol, tls], hosts, rest]) => ({ port: { number, protocol }, hosts, ...tls, ...rest }));
const gateway = fc
  .tuple(
    fc.constantFrom({ istio: 'ingress' }, { istio: 'egress' }, {}),
    fc.array(server, { minLength: 1, maxLength: 3 }),
  )
  .map(([selector, servers]) => ({
    selector,
    servers: servers.map(({ port, ...rest }, i) => ({ port: { ...port, name: `p${i}` }, ...rest })),
  }));

/** Empty ones are faults. */
function oneAtLeast<T extends object>(all: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return all.filter((one) => Object.keys(one).length > 0);
}

const egressHosts = fc.uniqueArray(
  fc.constantFrom(
    './*',
    '*/*',
    'shop/*',
    '~/*',
    'default/a.default.mesh',
    '*/*.example.com',
    '~shop/c.shop.mesh',
    'istio-system/*',
  ),
  { minLength: 1, maxLength: 3 },
);
const ingress = fc
  .tuple(
    fc.constantFrom(8081, 9080, 9443),
    protocolName,
    some({
      defaultEndpoint: fc.constantFrom('127.0.0.1:8080', '0.0.0.0:8080', 'unix:///run/app.sock'),
      bind: fc.constant('10.0.0.5'),
    }),
  )
  .map(([number, protocol, rest]) => ({ port: { number, protocol, name: `i${number}` }, ...rest }));
const sidecar = oneAtLeast(
  some({
    workloadSelector: fc.record({ labels: aSelector }),
    ingress: fc.uniqueArray(ingress, { selector: ({ port }) => port.number, minLength: 1, maxLength: 2 }),
    egress: fc
      .tuple(some({ port: aPort.map((number) => ({ number, protocol: 'HTTP', name: 'e' })) }), egressHosts, egressHosts)
      .map(([first, one, two]) => ('port' in first ? [{ ...first, hosts: one }, { hosts: two }] : [{ hosts: two }])),
    outboundTrafficPolicy: fc.oneof(
      fc.constantFrom({ mode: 'REGISTRY_ONLY' }, { mode: 'ALLOW_ANY' }),
      fc.record({
        mode: fc.constant('ALLOW_ANY'),
        egressProxy: aWrittenHost.map((host) => ({ host, port: { number: 9080 } })),
      }),
    ),
    inboundConnectionPool: fc.constant({ http: { http2MaxRequests: 7 }, tcp: { maxConnections: 3 } }),
  }),
);

const limit = fc.tuple(
  fc.record({ requests: fc.constantFrom(1, 1000), per: fc.constantFrom('1s', '1m', '24h') }),
  some({
    scope: fc.constantFrom('instance', 'fleet'),
    dryRun: fc.boolean(),
    by: fc.uniqueArray(fc.constantFrom<unknown>('caller', 'path', 'method', 'remoteAddress', { header: 'x-tenant' }), {
      minLength: 1,
      maxLength: 3,
    }),
    match: fc.array(
      oneAtLeast(
        some({
          path: fc.constantFrom({ prefix: '/api' }, { exact: '/' }, { regex: '/a+' }),
          method: fc.constant({ exact: 'GET' }),
          callers: fc.constant(['ns/default/sa/a', 'ns/shop']),
        }),
      ),
      { minLength: 1, maxLength: 2 },
    ),
  }),
);
/** What is limited: a service, or a Gateway and some of its hosts. */
const limited = fc.oneof(
  fc.constantFrom('a', 'b', 'c.shop.mesh', 'a.default.mesh').map((host) => ({ host })),
  fc
    .tuple(
      fc.constantFrom('gateway-0', 'default/gateway-0', 'shop/gateway-0', 'default/gateway-1'),
      some({ hosts: fc.constantFrom(['*'], ['a.example.com', '*.example.com'], ['*.shop.mesh']) }),
    )
    .map(([gateway, rest]) => ({ gateway, ...rest })),
);
const rateLimit = fc
  .tuple(
    limited,
    fc.array(limit, { minLength: 1, maxLength: 3 }),
    some({
      ports: fc.constantFrom([9080], [80, 443]),
      server: fc
        .tuple(aWrittenHost, some({ port: aPort, timeout: aDuration, failClosed: fc.boolean() }))
        .map(([host, rest]) => ({ host, ...rest })),
    }),
  )
  .map(([of, limits, rest]) => ({
    ...of,
    limits: limits.map(([one, more], i) => ({
      name: `l${i}`,
      ...one,
      ...more,
      ...('server' in rest ? { scope: undefined } : {}),
    })),
    ...rest,
  }));

const mode = fc.constantFrom('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT').map((one) => ({ mode: one }));
const peerAuthentication = fc.oneof(
  fc.record({ mtls: mode }),
  fc.record({
    selector: aSelector.map((matchLabels) => ({ matchLabels })),
    mtls: mode,
    portLevelMtls: fc.record({ 9080: mode }),
  }),
);

const service = some({
  ports: fc.uniqueArray(
    fc.tuple(aPort, protocolName).map(([number, protocol]) => ({ number, protocol })),
    { selector: ({ number }) => number, minLength: 1, maxLength: 2 },
  ),
  serviceAccounts: fc.constant(['a', 'shop/b']),
  tls: fc.constantFrom('required', 'migrating'),
});

const context = fc.constantFrom('ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY');
const ROUTER = {
  filterChain: {
    filter: { name: 'envoy.filters.network.http_connection_manager', subFilter: { name: 'envoy.filters.http.router' } },
  },
};
const LUA = {
  name: 'lua',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua',
    default_source_code: { inline_string: 'function envoy_on_request(handle) end' },
  },
};
/** What Envoy takes, wherever it is put. */
const patch = fc.oneof(
  context.map((where) => ({
    applyTo: 'HTTP_FILTER',
    match: { context: where, listener: ROUTER },
    patch: { operation: 'INSERT_BEFORE', value: LUA },
  })),
  context.map((where) => ({
    applyTo: 'CLUSTER',
    match: { context: where },
    patch: { operation: 'MERGE', value: { per_connection_buffer_limit_bytes: 32_768 } },
  })),
  context.map((where) => ({
    applyTo: 'VIRTUAL_HOST',
    match: { context: where },
    patch: { operation: 'MERGE', value: { include_request_attempt_count: true } },
  })),
  fc.constant({
    applyTo: 'CLUSTER',
    match: { cluster: { service: 'b.default.mesh' } },
    patch: { operation: 'REMOVE' },
  }),
  fc.constant({ applyTo: 'HTTP_ROUTE', patch: { operation: 'MERGE', value: { stat_prefix: 'x' } } }),
);
const envoyFilter = fc
  .tuple(
    some({ workloadSelector: fc.record({ labels: aSelector }), priority: fc.constantFrom(-1, 5) }),
    fc.array(patch, { minLength: 1, maxLength: 2 }),
  )
  .map(([rest, configPatches]) => ({ ...rest, configPatches }));

const proxyConfig = some({
  concurrency: fc.constantFrom(0, 2),
  selector: aSelector.map((matchLabels) => ({ matchLabels })),
});
const workloadGroup = fc.constant({
  metadata: { labels: { app: 'a' } },
  template: { serviceAccount: 'a', ports: { http: 8080 } },
});

const meshConfig = some({
  outboundTrafficPolicy: fc.constantFrom('ALLOW_ANY', 'REGISTRY_ONLY', 'ALLOW_ANY_DYNAMIC_DNS').map((one) => ({
    mode: one,
  })),
  h2UpgradePolicy: fc.constantFrom('DO_NOT_UPGRADE', 'UPGRADE'),
  enableAutoMtls: fc.boolean(),
  connectTimeout: aDuration,
  accessLogFile: fc.constantFrom('', '/dev/stdout'),
  dnsRefreshRate: aDuration,
  protocolDetectionTimeout: fc.constantFrom('0s', '5s'),
  pathNormalization: fc.constantFrom('NONE', 'BASE', 'DECODE_AND_MERGE_SLASHES').map((one) => ({ normalization: one })),
  defaultVirtualServiceExportTo: exportTo,
  defaultDestinationRuleExportTo: exportTo,
  defaultHttpRetryPolicy: fc.constantFrom({ attempts: 0 }, { attempts: 3, retryOn: '503,reset', perTryTimeout: '1s' }),
  defaultTrafficPolicy: fc.constantFrom(
    { connectionPool: { tcp: { maxConnections: 5 } } },
    { outlierDetection: { consecutive5xxErrors: 3 } },
  ),
  localityLbSetting: fc.constantFrom({ enabled: false }, { failover: [{ from: 'eu', to: 'us' }] }),
  tcpKeepalive: fc.constantFrom({ time: '1m', interval: '10s' }),
});

const NETWORKING = 'networking.istio.io/v1';
const KINDS: readonly (readonly [number, string, string, fc.Arbitrary<unknown>])[] = [
  [8, NETWORKING, 'ServiceEntry', serviceEntry],
  [7, NETWORKING, 'VirtualService', virtualService],
  [5, NETWORKING, 'DestinationRule', destinationRule],
  [3, NETWORKING, 'Gateway', gateway],
  [2, NETWORKING, 'Sidecar', sidecar],
  [2, NETWORKING, 'WorkloadEntry', workloadEntry],
  [2, 'trysail.dev/v1', 'RateLimit', rateLimit],
  [2, 'security.istio.io/v1', 'PeerAuthentication', peerAuthentication],
  [1, 'trysail.dev/v1', 'Service', service],
  [1, 'trysail.dev/v1', 'MeshConfig', meshConfig],
  [1, 'networking.istio.io/v1alpha3', 'EnvoyFilter', envoyFilter],
  [1, 'networking.istio.io/v1beta1', 'ProxyConfig', proxyConfig],
  [1, NETWORKING, 'WorkloadGroup', workloadGroup],
];

const aSpec = fc.oneof(
  ...KINDS.map(([weight, apiVersion, kind, spec]) => ({
    weight,
    arbitrary: fc.record({ apiVersion: fc.constant(apiVersion), kind: fc.constant(kind), spec }),
  })),
);
/** Of equal age some, so that names decide. */
const aTime = fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', '2026-01-03T00:00:00Z');

/** There is one of the mesh; any further one has no effect. */
const THE_MESH = { name: 'mesh', namespace: 'istio-system' };

/** Each with a creation time, and a name of its own by its kind: `gateway-0`. */
export const anyResources: fc.Arbitrary<readonly Written[]> = fc
  .array(fc.record({ one: aSpec, namespace: aNamespace, creationTimestamp: aTime }), { minLength: 1, maxLength: 14 })
  .map((drawn) => {
    const counts = new Map<string, number>();
    return drawn.map(({ one: { apiVersion, kind, spec }, ...rest }) => {
      const i = counts.get(kind) ?? 0;
      counts.set(kind, i + 1);
      const given = kind === 'MeshConfig' && i === 0 ? THE_MESH : {};
      return { apiVersion, kind, metadata: { name: `${kind.toLowerCase()}-${i}`, ...rest, ...given }, spec };
    });
  });
