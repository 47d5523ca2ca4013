/** The shape of Sidecar in Istio's API. https://istio.io/latest/docs/reference/config/networking/sidecar/ */
import * as z from 'zod/mini';
import { shownValue } from '../../lib/shown-value.ts';
import { hostProblem, int, labels, nonEmpty } from '../field-types.ts';
import { refused, type UnsupportedField } from '../unsupported-fields.ts';
import { connectionPool } from './destination-rule-schema.ts';
import { serverTls } from './gateway-schema.ts';
import { protocol } from './service-entry.ts';

/** `~` and `*` stand alone; `~shop` takes away what is in `shop`. */
const NAMESPACE = /^(?:[.*~]|~?[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?|~[.*])$/;

/** Why `text` is no `namespace/host` of an egress listener; else undefined. */
function egressHostProblem(text: string): string | undefined {
  const [namespace = '', host, ...rest] = text.split('/');
  if (host === undefined || rest.length > 0) return 'is not of the form namespace/host';
  if (!NAMESPACE.test(namespace)) return `has "${namespace}" for a namespace`;
  const problem = hostProblem(host);
  return problem === undefined ? undefined : `has "${host}" for a host, which ${problem}`;
}

const egressHost = z.string().check(
  z.refine((text: string) => egressHostProblem(text) === undefined, {
    error: ({ input }) => `${shownValue(input)} ${egressHostProblem(String(input)) ?? 'cannot be used'}`,
    params: { remedy: 'Write namespace/host, such as shop/reviews.shop.mesh, ./* or */*.example.com.' },
  }),
);

/** Number 0 is that of a Unix socket. */
const sidecarPort = z.strictObject({
  number: int(0, 65_535),
  protocol: z.optional(protocol),
  name: z.optional(z.string()),
  targetPort: z.optional(int(0, 65_535)),
});

const captureMode = z.optional(z.enum(['DEFAULT', 'IPTABLES', 'NONE']));

export const sidecarSchema = z.strictObject({
  workloadSelector: z.optional(z.strictObject({ labels: z.optional(labels) })),
  ingress: z.optional(
    z.array(
      z.strictObject({
        port: z.optional(sidecarPort),
        bind: z.optional(z.string()),
        captureMode,
        defaultEndpoint: z.optional(z.string()),
        tls: z.optional(serverTls),
        connectionPool: z.optional(connectionPool),
      }),
    ),
  ),
  egress: z.optional(
    z.array(
      z.strictObject({
        port: z.optional(sidecarPort),
        bind: z.optional(z.string()),
        captureMode,
        hosts: z.optional(z.array(egressHost)),
      }),
    ),
  ),
  inboundConnectionPool: z.optional(connectionPool),
  outboundTrafficPolicy: z.optional(
    z.strictObject({
      mode: z.optional(z.enum(['REGISTRY_ONLY', 'ALLOW_ANY', 'ALLOW_ANY_DYNAMIC_DNS'])),
      egressProxy: z.optional(
        z.strictObject({
          host: nonEmpty,
          subset: z.optional(nonEmpty),
          port: z.optional(z.strictObject({ number: int(1, 65_535) })),
        }),
      ),
    }),
  ),
});

export type SidecarSpec = z.output<typeof sidecarSchema>;
export type SidecarPortSpec = z.output<typeof sidecarPort>;

export const SIDECAR_UNSUPPORTED: readonly UnsupportedField[] = [
  {
    path: 'ingress[].tls.mode',
    effect: 'refused',
    except: ['SIMPLE', 'MUTUAL'],
    remedy: 'Write SIMPLE or MUTUAL.',
  },
  {
    path: 'ingress[].tls.tlsCertificates[].caCertificates',
    effect: 'ignored',
    remedy: 'Write "caCertificates" beside "tlsCertificates".',
  },
  refused('ingress[].tls.httpsRedirect', 'Redirect at a gateway.'),
  {
    path: 'ingress[].captureMode',
    effect: 'ignored',
    except: ['DEFAULT'],
    remedy: 'Set "services[].capture" in agent.yaml: the host decides which of its ports are captured.',
  },
  // What the listener imports holds all the same.
  {
    path: 'egress[].bind',
    effect: 'ignored',
    remedy: 'Name the address by "upstreams[].listen" in agent.yaml.',
  },
  {
    path: 'egress[].captureMode',
    effect: 'ignored',
    only: ['NONE'],
    remedy: 'Name the address by "upstreams[].listen" in agent.yaml.',
  },
];
