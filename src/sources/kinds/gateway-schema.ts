/** The shape of Gateway in Istio's API. https://istio.io/latest/docs/reference/config/networking/gateway/ */
import * as z from 'zod/mini';
import { labels, nonEmpty, port, unread } from '../field-types.ts';
import type { UnsupportedField } from '../unsupported-fields.ts';

/** `tls` of a server, and of an ingress listener of a Sidecar. */
export const serverTls = z.strictObject({
  httpsRedirect: z.optional(z.boolean()),
  mode: z.optional(z.enum(['PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL', 'ISTIO_MUTUAL', 'AUTO_PASSTHROUGH'])),
  serverCertificate: z.optional(nonEmpty),
  privateKey: z.optional(nonEmpty),
  caCertificates: z.optional(nonEmpty),
  caCrl: z.optional(nonEmpty),
  tlsCertificates: z.optional(
    z.array(
      z.strictObject({
        serverCertificate: nonEmpty,
        privateKey: nonEmpty,
        caCertificates: unread,
      }),
    ),
  ),
  credentialName: z.optional(nonEmpty),
  credentialNames: z.optional(z.array(nonEmpty)),
  caCertCredentialName: z.optional(nonEmpty),
  subjectAltNames: z.optional(z.array(nonEmpty)),
  verifyCertificateSpki: z.optional(z.array(nonEmpty)),
  verifyCertificateHash: z.optional(z.array(nonEmpty)),
  minProtocolVersion: z.optional(z.enum(['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'])),
  maxProtocolVersion: z.optional(z.enum(['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'])),
  cipherSuites: z.optional(z.array(nonEmpty)),
  ecdhCurves: z.optional(z.array(nonEmpty)),
});

const server = z.strictObject({
  port: z.strictObject({
    number: port,
    protocol: nonEmpty,
    name: nonEmpty,
    targetPort: unread,
  }),
  bind: z.optional(nonEmpty),
  hosts: z.array(nonEmpty),
  tls: z.optional(serverTls),
  defaultEndpoint: unread,
  name: z.optional(nonEmpty),
});

export const gatewaySchema = z.strictObject({
  selector: z.optional(labels),
  servers: z.array(server),
});

export type ServerSpec = z.output<typeof server>;
export type ServerTlsSpec = z.output<typeof serverTls>;

export const GATEWAY_UNSUPPORTED: readonly UnsupportedField[] = [
  {
    path: 'servers[].defaultEndpoint',
    effect: 'ignored',
    remedy: 'Remove it: Istio does not act on it either. Route by a VirtualService.',
  },
  {
    path: 'servers[].port.targetPort',
    effect: 'ignored',
    remedy: 'Remove it. Where a gateway host listens instead of the port stands in its agent.yaml, "gateways[].ports".',
  },
  {
    path: 'servers[].tls.tlsCertificates[].caCertificates',
    effect: 'ignored',
    remedy: 'Write "caCertificates" beside "tlsCertificates".',
  },
];
