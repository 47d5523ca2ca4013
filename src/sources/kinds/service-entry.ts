/** ServiceEntry. https://istio.io/latest/docs/reference/config/networking/service-entry/ */
import * as z from 'zod/mini';
import { shownValue } from '../../lib/shown-value.ts';
import type { Path } from '../../lib/yaml-document.ts';
import { PROTOCOLS, protocolOf } from '../../model/protocol.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';
import type { Protocol, Service } from '../../model/service.ts';
import { exportTo, host, labels, nonEmpty, port } from '../field-types.ts';
import { defineKind, NETWORKING_VERSIONS } from './kind.ts';
import { checkServiceEntry } from './service-entry-checks.ts';
import { buildWorkload, type ConfiguredWorkload, workloadSchema } from './workload-entry.ts';

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
  /** Addresses or CIDR ranges at which callers know it. */
  readonly addresses: readonly string[];
  readonly external: boolean;
  readonly resolution: Service['resolution'];
  readonly endpoints: readonly ConfiguredWorkload[];
  /** Labels of the WorkloadEntries of its namespace that serve it; undefined: `endpoints` do. */
  readonly workloadSelector: Readonly<Record<string, string>> | undefined;
  readonly subjectAltNames: readonly string[];
  readonly exportTo: readonly string[];
}

/** A protocol's name as a field; empty is as none. */
export const protocol = z.string().check(
  z.refine((name: string) => name === '' || protocolOf(name) !== undefined, {
    error: ({ input }) => `${shownValue(input)} is not a supported protocol`,
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

function buildPorts(spec: Spec): readonly ServiceEntryPort[] {
  return (spec.ports ?? []).map(
    ({ number, name = `port-${number}`, protocol, targetPort = number }): ServiceEntryPort => ({
      number,
      name,
      protocol: protocolOf(protocol ?? '') ?? 'AUTO',
      targetPort,
    }),
  );
}

const RESOLUTIONS = {
  NONE: 'ORIGINAL_DST',
  STATIC: 'EDS',
  DNS: 'STRICT_DNS',
  DNS_ROUND_ROBIN: 'LOGICAL_DNS',
  DYNAMIC_DNS: 'DYNAMIC_DNS',
} as const;

export const serviceEntryKind = defineKind({
  kind: 'ServiceEntry',
  apiVersions: NETWORKING_VERSIONS,
  schema,
  unsupported: [],
  build(meta, spec, report): ServiceEntry {
    const at = (i: number): Path => ['endpoints', i];
    const entry: ServiceEntry = {
      meta,
      hosts: spec.hosts,
      ports: buildPorts(spec),
      addresses: spec.addresses ?? [],
      external: spec.location !== 'MESH_INTERNAL',
      resolution: RESOLUTIONS[spec.resolution ?? 'NONE'],
      endpoints: (spec.endpoints ?? []).map((endpoint, i) => buildWorkload(endpoint, {}, at(i), report)),
      workloadSelector: spec.workloadSelector === undefined ? undefined : (spec.workloadSelector.labels ?? {}),
      subjectAltNames: spec.subjectAltNames ?? [],
      exportTo: spec.exportTo ?? [],
    };
    checkServiceEntry(entry, report);
    return entry;
  },
});
