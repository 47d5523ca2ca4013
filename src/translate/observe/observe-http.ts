/**
 * HTTP of mode `observe`: requests are counted and timed, and go on as they came. What an HTTP proxy cannot help
 * changing is listed in docs/modes.md, and a test holds that list.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { HeaderValueOption_HeaderAppendAction } from '../../gen/envoy/config/core/v3/base_pb.ts';
import {
  type HttpProtocolOptionsSchema as CommonHttpProtocolOptionsSchema,
  type Http1ProtocolOptionsSchema,
} from '../../gen/envoy/config/core/v3/protocol_pb.ts';
import type { RouteSchema } from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import type { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.ts';
import { RouterSchema } from '../../gen/envoy/extensions/filters/http/router/v3/router_pb.ts';
import {
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManagerSchema,
} from '../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { HeaderMutationSchema } from '../../gen/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation_pb.ts';
import { PreserveCaseFormatterConfigSchema } from '../../gen/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.ts';
import { type AccessLog, accessLoggers } from '../listeners/access-log.ts';
import type { NetworkFilter } from '../listeners/network-filters.ts';
import { duration, pack } from '../messages.ts';
import { statName } from '../names.ts';

/** The most that Envoy takes: what is too much is the application's to say. */
const MAX_HEADERS_KB = 8192;
const MAX_HEADERS = 100_000;

/** Marks requests that bear `x-forwarded-proto` themselves: to the others Envoy adds it, and it is taken off again. */
const FORWARDED_PROTO = 'x-forwarded-proto';
const BEARS_FORWARDED_PROTO = 'x-trysail-bears-forwarded-proto';

/** Protocols that browsers, container engines and the like switch to. Envoy answers 403 to any other. */
const UPGRADES = ['websocket', 'CONNECT', 'tcp', 'spdy/3.1', 'h2c', 'postgres', 'TLS/1.0'];

/** HTTP/1 as it came, as far as Envoy can: spelling of header names, reason phrases, trailers. */
export const UNCHANGED_HTTP1: MessageInitShape<typeof Http1ProtocolOptionsSchema> = {
  enableTrailers: true,
  allowChunkedLength: true,
  headerKeyFormat: {
    headerFormat: {
      case: 'statefulFormatter',
      value: {
        name: 'envoy.http.stateful_header_formatters.preserve_case',
        typedConfig: pack(PreserveCaseFormatterConfigSchema, { forwardReasonPhrase: true }),
      },
    },
  },
};

/** No limits of our own, in time or in size. */
export const UNLIMITED_HTTP: MessageInitShape<typeof CommonHttpProtocolOptionsSchema> = {
  idleTimeout: duration(0),
  maxHeadersCount: MAX_HEADERS,
};

function route(
  match: MessageInitShape<typeof RouteSchema>['match'],
  cluster: string,
  requestHeadersToRemove: readonly string[],
): MessageInitShape<typeof RouteSchema> {
  const timeout = duration(0);
  return {
    match,
    requestHeadersToRemove: [...requestHeadersToRemove],
    action: {
      case: 'route',
      value: {
        clusterSpecifier: { case: 'cluster', value: cluster },
        timeout,
        maxStreamDuration: { maxStreamDuration: timeout, grpcTimeoutHeaderMax: timeout },
      },
    },
  };
}

function routes(cluster: string): MessageInitShape<typeof RouteConfigurationSchema> {
  const marked = [
    { name: BEARS_FORWARDED_PROTO, headerMatchSpecifier: { case: 'presentMatch', value: true } },
  ] as const;
  const connect = { case: 'connectMatcher', value: {} } as const;
  const any = { case: 'prefix', value: '' } as const;
  return {
    name: cluster,
    virtualHosts: [
      {
        name: 'observe',
        domains: ['*'],
        routes: [
          route({ pathSpecifier: connect, headers: [...marked] }, cluster, [BEARS_FORWARDED_PROTO]),
          route({ pathSpecifier: connect }, cluster, [FORWARDED_PROTO]),
          route({ pathSpecifier: any, headers: [...marked] }, cluster, [BEARS_FORWARDED_PROTO]),
          route({ pathSpecifier: any }, cluster, [FORWARDED_PROTO]),
        ],
      },
    ],
    validateClusters: false,
  };
}

export interface ObserveHttpSpec {
  readonly statPrefix: string;
  readonly cluster: string;
  readonly accessLog: AccessLog | undefined;
}

/**
 * An HTTP connection manager that adds nothing. Its statistics are those of any other: `http.<prefix>` and the
 * cluster's.
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers
 */
export function observeHttp({ statPrefix, cluster, accessLog }: ObserveHttpSpec): NetworkFilter {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    configType: {
      case: 'typedConfig',
      value: pack(HttpConnectionManagerSchema, {
        statPrefix: statName(statPrefix),
        routeSpecifier: { case: 'routeConfig', value: routes(cluster) },
        httpFilters: [
          {
            name: 'envoy.filters.http.router',
            configType: {
              case: 'typedConfig',
              value: pack(RouterSchema, { suppressEnvoyHeaders: true, respectExpectedRqTimeout: false }),
            },
          },
        ],
        serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH,
        forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.ALWAYS_FORWARD_ONLY,
        generateRequestId: false,
        preserveExternalRequestId: true,
        useRemoteAddress: false,
        skipXffAppend: true,
        // Nobody: what an internal caller may ask of Envoy by headers is retries and timeouts.
        internalAddressConfig: { cidrRanges: [{ addressPrefix: '192.0.2.0', prefixLen: 32 }] },
        earlyHeaderMutationExtensions: [
          {
            name: 'envoy.http.early_header_mutation.header_mutation',
            typedConfig: pack(HeaderMutationSchema, {
              mutations: [
                { action: { case: 'remove', value: BEARS_FORWARDED_PROTO } },
                {
                  action: {
                    case: 'append',
                    value: {
                      header: { key: BEARS_FORWARDED_PROTO, value: `%REQ(${FORWARDED_PROTO})%` },
                      appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
                      keepEmptyValue: false,
                    },
                  },
                },
              ],
            }),
          },
        ],
        normalizePath: false,
        mergeSlashes: false,
        pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction.KEEP_UNCHANGED,
        proxy100Continue: true,
        upgradeConfigs: UPGRADES.map((upgradeType) => ({ upgradeType })),
        httpProtocolOptions: UNCHANGED_HTTP1,
        http2ProtocolOptions: { allowConnect: true },
        commonHttpProtocolOptions: UNLIMITED_HTTP,
        maxRequestHeadersKb: MAX_HEADERS_KB,
        // The caller learns of an end when it happens.
        delayedCloseTimeout: duration(0),
        streamIdleTimeout: duration(0),
        requestTimeout: duration(0),
        requestHeadersTimeout: duration(0),
        accessLog: accessLoggers(accessLog),
      }),
    },
  };
}
