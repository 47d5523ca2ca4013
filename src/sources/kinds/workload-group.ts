/** WorkloadGroup. https://istio.io/latest/docs/reference/config/networking/workload-group/ */
import * as z from 'zod/mini';
import type { WorkloadGroup, WorkloadProbe } from '../../model/workload-group.ts';
import { int, labels, nonEmpty, port, token, unread } from '../field-types.ts';
import { refused, type UnsupportedField } from '../unsupported-fields.ts';
import { defineKind, NETWORKING_VERSIONS, type Report } from './kind.ts';

const seconds = int(0, 86_400);

const probe = z.strictObject({
  initialDelaySeconds: z.optional(seconds),
  timeoutSeconds: z.optional(seconds),
  periodSeconds: z.optional(seconds),
  successThreshold: z.optional(int(0, 1000)),
  failureThreshold: z.optional(int(0, 1000)),
  httpGet: z.optional(
    z.strictObject({
      path: z.optional(z.string()),
      port,
      host: unread,
      scheme: z.optional(z.enum(['HTTP', 'HTTPS', 'http', 'https'])),
      httpHeaders: z.optional(z.array(z.strictObject({ name: token, value: z.optional(z.string()) }))),
    }),
  ),
  tcpSocket: z.optional(z.strictObject({ host: unread, port })),
  exec: unread,
  grpc: z.optional(z.strictObject({ port, service: z.optional(z.string()) })),
});

const schema = z.strictObject({
  metadata: z.optional(z.strictObject({ labels: z.optional(labels), annotations: unread })),
  template: z.optional(
    z.strictObject({
      address: unread,
      ports: unread,
      labels: z.optional(labels),
      network: unread,
      locality: unread,
      weight: z.optional(int(0, 65_535)),
      serviceAccount: z.optional(nonEmpty),
    }),
  ),
  probe: z.optional(probe),
});

type ProbeSpec = z.output<typeof probe>;

/** A check of another host: each looks at its own application, however that is written. */
function elsewhere(path: string): UnsupportedField {
  return {
    ...refused(path, 'Remove it: a host checks its own application.'),
    except: ['127.0.0.1', '::1', 'localhost'],
  };
}

const WORKLOAD_GROUP_UNSUPPORTED: readonly UnsupportedField[] = [
  refused('template.address', 'Remove it: each host knows its own.'),
  refused(
    'probe.exec',
    'Write "check.command" of the service in agent.yaml: configuration of the mesh does not run programs on hosts.',
  ),
  elsewhere('probe.httpGet.host'),
  elsewhere('probe.tcpSocket.host'),
  { path: 'template.ports', effect: 'ignored', remedy: 'The "port" of the service in agent.yaml says it.' },
  { path: 'template.locality', effect: 'ignored', remedy: '"host.locality" of agent.yaml says where a host is.' },
  { path: 'template.network', effect: 'ignored', remedy: 'Remove it: hosts of one mesh reach each other.' },
  { path: 'metadata.annotations', effect: 'ignored', remedy: 'Remove them: nothing reads them.' },
  {
    path: 'probe.initialDelaySeconds',
    effect: 'ignored',
    remedy: 'Remove it: an instance counts as down until its first check has passed.',
  },
];

const CHECKS = ['httpGet', 'tcpSocket', 'grpc'] as const;

function buildCheck(spec: ProbeSpec, report: Report): WorkloadProbe['check'] | undefined {
  const given = CHECKS.filter((name) => spec[name] !== undefined);
  const { httpGet, tcpSocket, grpc } = spec;
  if (given.length === 1 && httpGet !== undefined) {
    const { path = '/', port: number, scheme, httpHeaders = [] } = httpGet;
    return {
      kind: 'http',
      path: path.startsWith('/') ? path : `/${path}`,
      port: number,
      scheme: scheme?.toUpperCase() === 'HTTPS' ? 'https' : 'http',
      headers: httpHeaders.map(({ name, value = '' }) => ({ name, value })),
    };
  }
  if (given.length === 1 && tcpSocket !== undefined) return { kind: 'tcp', port: tcpSocket.port };
  if (given.length === 1 && grpc !== undefined) return { kind: 'grpc', port: grpc.port, service: grpc.service ?? '' };
  report(
    ['probe'],
    given.length === 0 ? 'says nothing to look at' : `has ${given.join(' and ')}`,
    `Write one of: ${CHECKS.join(', ')}.`,
  );
  return undefined;
}

/** What is 0 or absent is the default of Kubernetes. */
function buildProbe(spec: ProbeSpec, report: Report): WorkloadProbe | undefined {
  const check = buildCheck(spec, report);
  if (check === undefined) return undefined;
  const or = (value: number | undefined, otherwise: number): number => value || otherwise;
  return {
    timeoutMs: or(spec.timeoutSeconds, 1) * 1000,
    periodMs: or(spec.periodSeconds, 10) * 1000,
    successThreshold: or(spec.successThreshold, 1),
    failureThreshold: or(spec.failureThreshold, 3),
    check,
  };
}

export const workloadGroupKind = defineKind({
  kind: 'WorkloadGroup',
  apiVersions: NETWORKING_VERSIONS,
  schema,
  unsupported: WORKLOAD_GROUP_UNSUPPORTED,
  build(meta, spec, report): WorkloadGroup {
    const { template } = spec;
    if (template === undefined) report(['template'], 'is missing', 'Add it, with the labels that the instances share.');
    return {
      meta,
      labels: { ...spec.metadata?.labels, ...template?.labels },
      serviceAccount: template?.serviceAccount,
      weight: template?.weight === 0 ? undefined : template?.weight,
      probe: spec.probe === undefined ? undefined : buildProbe(spec.probe, report),
    };
  },
});
