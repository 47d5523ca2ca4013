/**
 * What each host says of itself in Consul: what it understands, which namespaces it follows, and whether its Envoy has
 * taken a change that goes out in steps. Nobody signs it: it can hold a roll-out up or let it go on, and change nothing.
 */
import * as z from 'zod/mini';
import { catch as otherwise } from 'zod/mini';
import type { KvStore } from '../consul/kv.ts';
import { STATUS_PREFIX } from './layout.ts';

/**
 * What this program understands of the fleet's configuration. It grows with each kind or field of a resource, or part of
 * the documents, that an agent of before would misread.
 */
export const FLEET_LEVEL = 1;
/** A host says that it lives at least so often. */
export const PRESENCE_MS = 3_600_000;
/** After so long a host is not waited for. */
const SILENT_MS = 3 * PRESENCE_MS;
/** Ten thousand hosts with some to spare. */
const MAX_BYTES = 64 * 1024 * 1024;

const text = z.string().check(z.maxLength(1000));
/** Not strict: a newer agent may say more. */
const hostRollout = z.object({
  id: text,
  /** In force on this host, by namespace. */
  revisions: z.record(z.string(), z.int()),
  envoy: z.enum(['accepted', 'rejected']),
  errors: z.array(text).check(z.maxLength(16)),
});

const namespace = z.string().check(z.regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/));

/** A gateway of the host that is no service in Consul, so that nobody else knows of it. */
const hostGateway = z.object({
  namespace,
  name: text,
  labels: z.record(text, text),
});

const hostStatus = z.object({
  version: text,
  level: z.int(),
  namespaces: z.array(text).check(z.maxLength(1024)),
  atMs: z.int(),
  /** Empty for agents that say nothing of it. */
  gateways: otherwise(z.array(hostGateway).check(z.maxLength(16)), []),
  rollouts: z.array(hostRollout).check(z.maxLength(64)),
});

export type HostGateway = z.output<typeof hostGateway>;
export type HostRollout = z.output<typeof hostRollout>;
export type HostStatus = z.output<typeof hostStatus>;

/** A host as publishers see it. */
export interface FleetHost extends HostStatus {
  readonly host: string;
  /** Whether it has said nothing for so long that nobody waits for it. */
  readonly silent: boolean;
}

/** What hosts say; what cannot be read is left out. @throws TrysailError `CONSUL_…` */
export async function fleetHosts(kv: Pick<KvStore, 'list'>, signal?: AbortSignal): Promise<readonly FleetHost[]> {
  const { value } = await kv.list(STATUS_PREFIX, { maxBytes: MAX_BYTES, signal });
  return value.flatMap((entry): FleetHost[] => {
    let json: unknown;
    try {
      json = JSON.parse(Buffer.from(entry.value).toString('utf8'));
    } catch {
      return [];
    }
    const parsed = z.safeParse(hostStatus, json);
    if (!parsed.success) return [];
    const silent = Date.now() - parsed.data.atMs > SILENT_MS;
    return [{ ...parsed.data, host: entry.key.slice(STATUS_PREFIX.length), silent }];
  });
}

/** Those that follow one of these namespaces. */
export function concerned(hosts: readonly FleetHost[], namespaces: readonly string[]): readonly FleetHost[] {
  return hosts.filter((host) => host.namespaces.some((one) => namespaces.includes(one)));
}
