/** ServiceEntry. https://istio.io/latest/docs/reference/config/networking/service-entry/ */
import * as z from 'zod/mini';
import type { Path } from '../../lib/yaml-document.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';
import type { Protocol, Service } from '../../model/service.ts';
import { exportTo, host, isIpAddress, labels, nonEmpty, port } from '../field-types.ts';
import type { UnsupportedField } from '../unsupported-fields.ts';
import { defineKind, NETWORKING_VERSIONS, type Report, UNSUPPORTED } from './kind.ts';
import { buildWorkload, type ConfiguredWorkload, workloadSchema, workloadUnsupported } from './workload-entry.ts';

export interface ServiceEntryPort {
  readonly number: number;
  readonly name: string;
  readonly protocol: Protocol;
  /** Port to dial where a workload does not say another. */
  readonly targetPort: number;
}

export interface ServiceEntry {
  readonly meta: ResourceMeta;
  /** As written. */
  readonly hosts: readonly string[];
  readonly ports: readonly ServiceEntryPort[];
  readonly external: boolean;
  readonly resolution: Service['resolution'];
  readonly endpoints: readonly ConfiguredWorkload[];
  /** Labels of the WorkloadEntries of its namespace that serve it; undefined: `endpoints` do. */
  readonly workloadSelector: Readonly<Record<string, string>> | undefined;
  readonly subjectAltNames: readonly string[];
  readonly exportTo: readonly string[];
}

/** Istio's protocol names in capitals. Those of databases are opaque TCP to us. */
const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  HTTP: 'HTTP',
  HTTP2: 'HTTP2',
  GRPC: 'GRPC',
  HTTPS: 'HTTPS',
  TLS: 'TLS',
  TCP: 'TCP',
  MONGO: 'TCP',
  REDIS: 'TCP',
  MYSQL: 'TCP',
};

/** The protocol that an Istio name in any case stands for; undefined for a name that is not supported. */
export function protocolOf(name: string): Protocol | undefined {
  return Object.hasOwn(PROTOCOLS, name.toUpperCase()) ? PROTOCOLS[name.toUpperCase()] : undefined;
}

/** A protocol's name as a field. */
export const protocol = z.string().check(
  z.refine((name: string) => protocolOf(name) !== undefined, {
    error: ({ input }) => `"${String(input)}" is not a supported protocol`,
    params: { remedy: `Use one of: ${Object.keys(PROTOCOLS).join(', ')}; or leave it out to have it detected.` },
  }),
);

const schema = z.strictObject({
  hosts: z.array(host),
  addresses: z.optional(z.array(z.string())),
  ports: z.optional(
    z.array(
      z.strictObject({
        number: port,
        protocol: z.optional(protocol),
        name: z.optional(nonEmpty),
        targetPort: z.optional(port),
      }),
    ),
  ),
  location: z.optional(z.enum(['MESH_EXTERNAL', 'MESH_INTERNAL'])),
  resolution: z.optional(z.enum(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'])),
  endpoints: z.optional(z.array(workloadSchema)),
  workloadSelector: z.optional(z.strictObject({ labels: z.optional(labels) })),
  exportTo,
  subjectAltNames: z.optional(z.array(nonEmpty)),
});

type Spec = z.output<typeof schema>;

const SERVICE_ENTRY_UNSUPPORTED: readonly UnsupportedField[] = [
  {
    path: 'hosts[]',
    effect: 'refused',
    matching: { pattern: /^\*\./, name: 'a wildcard' },
    remedy: 'Name each host.',
  },
  {
    path: 'resolution',
    effect: 'refused',
    only: ['NONE', 'DYNAMIC_DNS'],
    remedy: 'Use STATIC with endpoints, or DNS.',
  },
  {
    path: 'addresses',
    effect: 'ignored',
    remedy: 'Remove it: services are reached at the address on which the host offers them.',
  },
  ...workloadUnsupported('endpoints[].'),
];

function checkHosts(spec: Spec, report: Report): void {
  if (spec.hosts.length === 0) report(['hosts'], 'is empty', 'Name the service.');
  for (const [i, name] of spec.hosts.entries()) {
    if (name === '*') report(['hosts', i], '"*" is not allowed', 'Name the service.');
    else if (spec.hosts.indexOf(name) < i) report(['hosts', i], `"${name}" stands here twice`, 'Keep one.');
  }
}

function buildPorts(spec: Spec, report: Report): readonly ServiceEntryPort[] {
  const ports = (spec.ports ?? []).map(
    ({ number, name = `port-${number}`, protocol, targetPort = number }): ServiceEntryPort => ({
      number,
      name,
      protocol: protocolOf(protocol ?? '') ?? 'AUTO',
      targetPort,
    }),
  );
  if (ports.length === 0) report(['ports'], 'there are no ports', 'Add "ports" with at least one number.');
  for (const [i, { number, name }] of ports.entries()) {
    if (ports.findIndex((other) => other.number === number) < i)
      report(['ports', i, 'number'], `port ${number} stands here twice`, 'Keep one.');
    if (ports.findIndex((other) => other.name === name) < i)
      report(['ports', i, 'name'], `the name "${name}" stands here twice`, 'Rename one.');
  }
  return ports;
}

function checkResolution(entry: ServiceEntry, report: Report): void {
  const { resolution, endpoints, workloadSelector } = entry;
  if (endpoints.length > 0 && workloadSelector !== undefined)
    report(['workloadSelector'], 'excludes "endpoints"', 'Keep one of the two.');
  if (resolution === 'LOGICAL_DNS' && endpoints.length > 1)
    report(['endpoints'], 'DNS_ROUND_ROBIN takes one endpoint at most', 'Use DNS, or keep one endpoint.');
  for (const [i, { address }] of endpoints.entries())
    if (resolution === 'EDS' && address !== '' && !isIpAddress(address))
      report(['endpoints', i, 'address'], `"${address}" is not an IP address`, 'Use resolution: DNS for names.');
}

function checkEndpointPorts(entry: ServiceEntry, report: Report): void {
  const names = entry.ports.map(({ name }) => name);
  for (const [i, endpoint] of entry.endpoints.entries())
    for (const name of Object.keys(endpoint.ports))
      if (!names.includes(name))
        report(['endpoints', i, 'ports', name], `"${name}" is not a port here`, `Use one of: ${names.join(', ')}.`);
}

const RESOLUTIONS = { STATIC: 'EDS', DNS: 'STRICT_DNS', DNS_ROUND_ROBIN: 'LOGICAL_DNS' } as const;

export const serviceEntryKind = defineKind({
  kind: 'ServiceEntry',
  apiVersions: NETWORKING_VERSIONS,
  schema,
  unsupported: SERVICE_ENTRY_UNSUPPORTED,
  build(meta, spec, report): ServiceEntry {
    checkHosts(spec, report);
    const { resolution } = spec;
    if (resolution === undefined)
      report(
        ['resolution'],
        'is NONE when it is left out, which is not supported yet',
        'Add "resolution: STATIC" or DNS.',
        UNSUPPORTED,
      );
    const at = (i: number): Path => ['endpoints', i];
    const entry: ServiceEntry = {
      meta,
      hosts: spec.hosts,
      ports: buildPorts(spec, report),
      external: spec.location !== 'MESH_INTERNAL',
      resolution:
        resolution === undefined || resolution === 'NONE' || resolution === 'DYNAMIC_DNS'
          ? 'EDS'
          : RESOLUTIONS[resolution],
      endpoints: (spec.endpoints ?? []).map((endpoint, i) => buildWorkload(endpoint, {}, at(i), report)),
      workloadSelector: spec.workloadSelector?.labels,
      subjectAltNames: spec.subjectAltNames ?? [],
      exportTo: spec.exportTo ?? [],
    };
    if (spec.workloadSelector !== undefined && Object.keys(spec.workloadSelector.labels ?? {}).length === 0)
      report(['workloadSelector'], 'selects nothing', 'Add "labels".');
    checkResolution(entry, report);
    checkEndpointPorts(entry, report);
    return entry;
  },
});
