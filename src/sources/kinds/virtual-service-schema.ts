/** The shape of VirtualService in Istio's API. https://istio.io/latest/docs/reference/config/networking/virtual-service/ */
import * as z from 'zod/mini';
import { duration, exportTo, host, int, labels, nonEmpty, percent, port, unread } from '../field-types.ts';
import { refused, type UnsupportedField } from '../unsupported-fields.ts';

const MAX_WEIGHT = 2_147_483_647;

const stringMatch = z.strictObject({
  exact: z.optional(z.string()),
  prefix: z.optional(z.string()),
  regex: z.optional(z.string()),
});
const stringMatches = z.record(z.string(), stringMatch);
const texts = z.record(z.string(), z.string());
const percentage = z.strictObject({ value: z.optional(percent) });

const destination = z.strictObject({
  host,
  subset: z.optional(nonEmpty),
  port: z.optional(z.strictObject({ number: port })),
});

const headerChanges = z.strictObject({
  set: z.optional(texts),
  add: z.optional(texts),
  remove: z.optional(z.array(z.string())),
});
const headers = z.strictObject({ request: z.optional(headerChanges), response: z.optional(headerChanges) });

const source = {
  sourceLabels: z.optional(labels),
  sourceNamespace: z.optional(nonEmpty),
  gateways: z.optional(z.array(nonEmpty)),
};

const httpMatch = z.strictObject({
  name: z.optional(nonEmpty),
  uri: z.optional(stringMatch),
  scheme: z.optional(stringMatch),
  method: z.optional(stringMatch),
  authority: z.optional(stringMatch),
  headers: z.optional(stringMatches),
  withoutHeaders: z.optional(stringMatches),
  queryParams: z.optional(stringMatches),
  port: z.optional(port),
  ignoreUriCase: z.optional(z.boolean()),
  statPrefix: z.optional(z.string()),
  ...source,
});

/** `retries` of a route, and MeshConfig's `defaultHttpRetryPolicy`. */
export const retriesSchema = z.strictObject({
  attempts: z.optional(int(0, 2_147_483_647)),
  perTryTimeout: z.optional(duration()),
  retryOn: z.optional(z.string()),
  retryRemoteLocalities: z.optional(z.boolean()),
  retryIgnorePreviousHosts: z.optional(z.boolean()),
  backoff: z.optional(duration()),
});

const redirect = z.strictObject({
  uri: z.optional(z.string()),
  prefixRewrite: z.optional(z.string()),
  authority: z.optional(z.string()),
  port: z.optional(port),
  derivePort: z.optional(z.enum(['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT'])),
  scheme: z.optional(z.string()),
  redirectCode: z.optional(int()),
});

const directResponse = z.strictObject({
  status: int(200, 599),
  body: z.optional(z.strictObject({ string: z.optional(z.string()), bytes: z.optional(z.string()) })),
});

const rewrite = z.strictObject({
  uri: z.optional(z.string()),
  authority: z.optional(z.string()),
  uriRegexRewrite: z.optional(z.strictObject({ match: z.optional(z.string()), rewrite: z.optional(z.string()) })),
});

const fault = z.strictObject({
  delay: z.optional(
    z.strictObject({
      percent: z.optional(int(0, 100)),
      percentage: z.optional(percentage),
      fixedDelay: z.optional(duration()),
      exponentialDelay: unread,
    }),
  ),
  abort: z.optional(
    z.strictObject({
      percentage: z.optional(percentage),
      httpStatus: z.optional(int(200, 599)),
      grpcStatus: z.optional(z.string()),
      http2Error: unread,
    }),
  ),
});

const corsPolicy = z.strictObject({
  allowOrigin: z.optional(z.array(nonEmpty)),
  allowOrigins: z.optional(z.array(stringMatch)),
  allowMethods: z.optional(z.array(nonEmpty)),
  allowHeaders: z.optional(z.array(z.string())),
  exposeHeaders: z.optional(z.array(z.string())),
  maxAge: z.optional(duration(0)),
  allowCredentials: z.optional(z.boolean()),
  unmatchedPreflights: z.optional(z.enum(['UNSPECIFIED', 'FORWARD', 'IGNORE'])),
});

const httpRoute = z.strictObject({
  name: z.optional(nonEmpty),
  match: z.optional(z.array(httpMatch)),
  route: z.optional(
    z.array(z.strictObject({ destination, weight: z.optional(int(0, MAX_WEIGHT)), headers: z.optional(headers) })),
  ),
  redirect: z.optional(redirect),
  directResponse: z.optional(directResponse),
  delegate: z.optional(z.strictObject({ name: nonEmpty, namespace: z.optional(z.string()) })),
  rewrite: z.optional(rewrite),
  timeout: z.optional(duration()),
  retries: z.optional(retriesSchema),
  fault: z.optional(fault),
  mirror: z.optional(destination),
  mirrorPercent: z.optional(int(0, 100)),
  mirrorPercentage: z.optional(percentage),
  mirrors: z.optional(z.array(z.strictObject({ destination, percentage: z.optional(percentage) }))),
  corsPolicy: z.optional(corsPolicy),
  headers: z.optional(headers),
});

const tcpMatch = { destinationSubnets: z.optional(z.array(nonEmpty)), port: z.optional(port), ...source };
const tcpDestinations = z.optional(z.array(z.strictObject({ destination, weight: z.optional(int(0, MAX_WEIGHT)) })));

const tlsRoute = z.strictObject({
  match: z.optional(z.array(z.strictObject({ sniHosts: z.optional(z.array(host)), ...tcpMatch }))),
  route: tcpDestinations,
});

const tcpRoute = z.strictObject({
  match: z.optional(z.array(z.strictObject({ ...tcpMatch, sourceSubnet: unread }))),
  route: tcpDestinations,
});

export const virtualServiceSchema = z.strictObject({
  hosts: z.optional(z.array(host)),
  gateways: z.optional(z.array(nonEmpty)),
  http: z.optional(z.array(httpRoute)),
  tls: z.optional(z.array(tlsRoute)),
  tcp: z.optional(z.array(tcpRoute)),
  exportTo,
});

export type StringMatchSpec = z.output<typeof stringMatch>;
export type SourceSpec = Pick<z.output<typeof httpMatch>, keyof typeof source>;
export type HttpMatchSpec = z.output<typeof httpMatch>;
export type HttpRouteSpec = z.output<typeof httpRoute>;
export type RetriesSpec = z.output<typeof retriesSchema>;
export type DestinationSpec = z.output<typeof destination>;
export type HeadersSpec = z.output<typeof headers>;
export type HeaderChangesSpec = z.output<typeof headerChanges>;
export type RedirectSpec = z.output<typeof redirect>;
export type DirectResponseSpec = z.output<typeof directResponse>;
export type RewriteSpec = z.output<typeof rewrite>;
export type FaultSpec = z.output<typeof fault>;
export type CorsPolicySpec = z.output<typeof corsPolicy>;
export type TlsRouteSpec = z.output<typeof tlsRoute>;
export type TcpRouteSpec = z.output<typeof tcpRoute>;

export const VIRTUAL_SERVICE_UNSUPPORTED: readonly UnsupportedField[] = [
  refused('http[].fault.delay.exponentialDelay', 'Write "fixedDelay": Istio refuses this field too.'),
  refused('http[].fault.abort.http2Error', 'Write "httpStatus" or "grpcStatus": Istio refuses this field too.'),
  {
    path: 'tcp[].match[].sourceSubnet',
    effect: 'ignored',
    remedy: 'Remove it: it has no effect in Istio either. Use sourceLabels or sourceNamespace.',
  },
];
