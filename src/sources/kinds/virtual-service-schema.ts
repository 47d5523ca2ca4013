/** The shape of VirtualService in Istio's API. https://istio.io/latest/docs/reference/config/networking/virtual-service/ */
import * as z from 'zod/mini';
import { duration, exportTo, host, int, labels, nonEmpty, port, unread } from '../field-types.ts';
import { refused, type UnsupportedField } from '../unsupported-fields.ts';

const stringMatch = z.strictObject({
  exact: z.optional(z.string()),
  prefix: z.optional(z.string()),
  regex: z.optional(z.string()),
});

const destination = z.strictObject({
  host,
  subset: z.optional(nonEmpty),
  port: z.optional(z.strictObject({ number: port })),
});

const httpMatch = z.strictObject({
  name: z.optional(nonEmpty),
  uri: z.optional(stringMatch),
  scheme: z.optional(stringMatch),
  method: z.optional(stringMatch),
  authority: z.optional(stringMatch),
  headers: z.optional(z.record(z.string(), stringMatch)),
  withoutHeaders: z.optional(z.record(z.string(), stringMatch)),
  queryParams: z.optional(z.record(z.string(), stringMatch)),
  port: z.optional(port),
  ignoreUriCase: z.optional(z.boolean()),
  sourceLabels: z.optional(labels),
  sourceNamespace: z.optional(z.string()),
  gateways: z.optional(z.array(nonEmpty)),
  statPrefix: z.optional(z.string()),
});

const retries = z.strictObject({
  attempts: z.optional(int(0, 2_147_483_647)),
  perTryTimeout: z.optional(duration()),
  retryOn: z.optional(z.string()),
  retryRemoteLocalities: z.optional(z.boolean()),
  retryIgnorePreviousHosts: z.optional(z.boolean()),
  backoff: z.optional(duration()),
});

const httpRoute = z.strictObject({
  name: z.optional(nonEmpty),
  match: z.optional(z.array(httpMatch)),
  route: z.optional(
    z.array(z.strictObject({ destination, weight: z.optional(int(0, 2_147_483_647)), headers: unread })),
  ),
  timeout: z.optional(duration()),
  retries: z.optional(retries),
  redirect: unread,
  directResponse: unread,
  delegate: unread,
  rewrite: unread,
  fault: unread,
  mirror: unread,
  mirrors: unread,
  mirrorPercent: unread,
  mirrorPercentage: unread,
  corsPolicy: unread,
  headers: unread,
});

export const virtualServiceSchema = z.strictObject({
  hosts: z.optional(z.array(host)),
  gateways: z.optional(z.array(nonEmpty)),
  http: z.optional(z.array(httpRoute)),
  tls: unread,
  tcp: unread,
  exportTo,
});

export type StringMatchSpec = z.output<typeof stringMatch>;
export type HttpMatchSpec = z.output<typeof httpMatch>;
export type HttpRouteSpec = z.output<typeof httpRoute>;
export type RetriesSpec = z.output<typeof retries>;

export const VIRTUAL_SERVICE_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: 'gateways[]', effect: 'refused', except: ['mesh'], remedy: 'Leave "gateways" out, or write "mesh" alone.' },
  refused('tls', 'Remove it: TLS connections go to the service as they are.'),
  refused('tcp', 'Remove it: TCP connections go to the service as they are.'),
  refused('http[].redirect'),
  refused('http[].directResponse'),
  refused('http[].delegate', 'Write the routes of the delegate here.'),
  refused('http[].rewrite'),
  refused('http[].fault'),
  refused('http[].mirror'),
  refused('http[].mirrors'),
  refused('http[].mirrorPercent'),
  refused('http[].mirrorPercentage'),
  refused('http[].corsPolicy'),
  refused('http[].headers'),
  refused('http[].route[].headers'),
  refused('http[].match[].sourceLabels'),
  refused('http[].match[].sourceNamespace', 'Use exportTo to limit which namespaces see the whole resource.'),
  {
    path: 'http[].match[].gateways[]',
    effect: 'refused',
    except: ['mesh'],
    remedy: 'Leave "gateways" out, or write "mesh" alone.',
  },
  {
    path: 'http[].match[].statPrefix',
    effect: 'ignored',
    remedy: 'Remove it; the name of the route is in the metrics.',
  },
];
