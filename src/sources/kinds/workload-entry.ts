/** WorkloadEntry, alone or inside a ServiceEntry. https://istio.io/latest/docs/reference/config/networking/workload-entry/ */
import * as z from 'zod/mini';
import type { Path } from '../../lib/yaml-document.ts';
import { parseLocality } from '../../model/locality.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';
import type { Locality } from '../../model/service.ts';
import { hostProblem, int, isIpAddress, isSocketAddress, labels, nonEmpty, port } from '../field-types.ts';
import { defineKind, NETWORKING_VERSIONS, type Report } from './kind.ts';

/** One workload that serves, as configuration says it. */
export interface ConfiguredWorkload {
  /** An IP address, a DNS name, or a Unix socket (`unix:///run/app.sock`). */
  readonly address: string;
  /** Port to dial by the name of the service's port. */
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: Locality;
  readonly weight: number;
  /** Name of a service account in the resource's namespace. */
  readonly serviceAccount: string | undefined;
  /** Where workloads of other networks are told apart. */
  readonly network: string | undefined;
  /** Whether it takes mutual TLS: label `security.istio.io/tlsMode`, else whether it has a service account. */
  readonly offersMtls: boolean;
}

export interface WorkloadEntry {
  readonly meta: ResourceMeta;
  readonly workload: ConfiguredWorkload;
}

const TLS_MODE_LABEL = 'security.istio.io/tlsMode';

/** The fields of a WorkloadEntry's `spec`, and of an element of a ServiceEntry's `endpoints`. */
export const workloadSchema = z.strictObject({
  address: z.optional(nonEmpty),
  ports: z.optional(z.record(z.string(), port)),
  labels: z.optional(labels),
  network: z.optional(z.string()),
  locality: z.optional(z.string()),
  // Envoy adds up the weights of a locality in 32 bits.
  weight: z.optional(int(0, 100_000)),
  serviceAccount: z.optional(z.string()),
});

const SOCKET_SCHEME = 'unix://';

/** Checks an address and completes a workload. `extraLabels` win over its own. */
export function buildWorkload(
  spec: z.output<typeof workloadSchema>,
  extraLabels: Readonly<Record<string, string>>,
  path: Path,
  report: Report,
): ConfiguredWorkload {
  const address = spec.address ?? '';
  const at = [...path, 'address'];
  if (spec.address === undefined)
    report(path, '"address" is missing', 'Add the IP address or DNS name of the workload.');
  else if (isSocketAddress(address)) {
    if (!/^unix:\/\/(?:\/|@).+$/.test(address))
      report(at, `"${address}" is no absolute path of a Unix socket`, `Write ${SOCKET_SCHEME}/run/app.sock.`);
    if (Object.keys(spec.ports ?? {}).length > 0)
      report([...path, 'ports'], 'a Unix socket has no ports', 'Remove them.');
  } else if (!isIpAddress(address) && (address.includes('*') || hostProblem(address) !== undefined))
    report(
      at,
      `"${address}" is neither an IP address nor a DNS name`,
      'Write one alone, such as 10.0.0.5 or db.example.com.',
    );
  const all = { ...spec.labels, ...extraLabels };
  const mode = all[TLS_MODE_LABEL];
  return {
    address,
    ports: spec.ports ?? {},
    labels: all,
    locality: parseLocality(spec.locality),
    weight: spec.weight === undefined || spec.weight === 0 ? 1 : spec.weight,
    serviceAccount: spec.serviceAccount === '' ? undefined : spec.serviceAccount,
    network: spec.network === '' ? undefined : spec.network,
    offersMtls: mode === undefined ? Boolean(spec.serviceAccount) : mode === 'istio',
  };
}

export const workloadEntryKind = defineKind({
  kind: 'WorkloadEntry',
  apiVersions: NETWORKING_VERSIONS,
  schema: workloadSchema,
  unsupported: [],
  build(meta, spec, report): WorkloadEntry {
    return { meta, workload: buildWorkload(spec, meta.labels, [], report) };
  },
});
