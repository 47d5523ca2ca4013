/**
 * `Service` of `trysail.dev/v1`: what Consul's catalogue cannot say of a service. It is configuration, hence believed;
 * what an instance registers about itself is not (design, decisions 7 and 9).
 */
import * as z from 'zod/mini';
import { consulNameOf, DEFAULT_NAMESPACE, serviceOfConsulName } from '../../model/host-names.ts';
import { protocolOf } from '../../model/protocol.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';
import type { ServicePort } from '../../model/service.ts';
import { nonEmpty, port } from '../field-types.ts';
import { defineKind } from './kind.ts';
import { protocol } from './service-entry.ts';

export interface ServiceRecord {
  readonly meta: ResourceMeta;
  /** Name in Consul's catalogue. */
  readonly consulName: string;
  /** Empty: as the catalogue says. */
  readonly ports: readonly ServicePort[];
  /** Who may serve it; never empty. */
  readonly accounts: readonly { readonly namespace: string; readonly serviceAccount: string }[];
  /** Undefined: by convention. */
  readonly tls: 'required' | 'migrating' | undefined;
}

const schema = z.strictObject({
  ports: z.optional(
    z.array(z.strictObject({ number: port, name: z.optional(nonEmpty), protocol: z.optional(protocol) })),
  ),
  serviceAccounts: z.optional(z.array(nonEmpty)),
  tls: z.optional(z.enum(['required', 'migrating'])),
  consulName: z.optional(nonEmpty),
});

const ACCOUNT = /^(?:([a-z0-9][a-z0-9-]*)\/)?([A-Za-z0-9._-]+)$/;

export const serviceRecordKind = defineKind({
  kind: 'Service',
  apiVersions: ['trysail.dev/v1'],
  schema,
  unsupported: [],
  build(meta, spec, report): ServiceRecord {
    const { namespace, name } = meta;
    const ports = spec.ports ?? [];
    for (const [i, { number }] of ports.entries())
      if (ports.findIndex((other) => other.number === number) < i)
        report(['ports', i, 'number'], `port ${number} stands here twice`, 'Keep one.');
    const accounts = (spec.serviceAccounts ?? []).map((text, i) => {
      const match = ACCOUNT.exec(text);
      if (match === null)
        report(['serviceAccounts', i], `"${text}" is not a service account`, 'Write its name, or namespace/name.');
      return { namespace: match?.[1] ?? namespace, serviceAccount: match?.[2] ?? text };
    });
    const consulName = spec.consulName ?? consulNameOf(meta);
    const owner = serviceOfConsulName(consulName);
    // Else a team could take another's service out of the mesh by a record in its own namespace.
    if (owner.namespace !== namespace && owner.namespace !== DEFAULT_NAMESPACE)
      report(
        spec.consulName === undefined ? [] : ['consulName'],
        `the Consul name "${consulName}" belongs to namespace ${owner.namespace}`,
        'Write the record in that namespace.',
      );
    return {
      meta,
      consulName,
      ports: ports.map((p) => ({
        number: p.number,
        name: p.name ?? `port-${p.number}`,
        protocol: protocolOf(p.protocol ?? '') ?? 'AUTO',
      })),
      accounts: accounts.length === 0 ? [{ namespace, serviceAccount: name }] : accounts,
      tls: spec.tls,
    };
  },
});
