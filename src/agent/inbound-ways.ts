/**
 * The ways in to a host's services while it moves from one configuration to the next. Peers learn late where they have to
 * go now; until they have, what they still use has to stay open.
 */
import type { Caller, Host, Workload } from '../model/host.ts';
import { PORTS } from '../platform/vm/ports.ts';

/** `namespace/name` of a service. */
export function serviceKey({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

/** `namespace/name` of a workload's service. */
export function workloadKey({ namespace, service }: Workload): string {
  return `${namespace}/${service}`;
}

/** What peers' connections to a workload arrive at; undefined: nothing of Envoy's. */
export function wayOf({ inbound }: Workload): string | undefined {
  if (inbound === undefined) return undefined;
  const { listen, capture } = inbound;
  return `${capture === undefined ? 'listens' : 'captured'} ${listen.address} ${listen.port}`;
}

/** Whether two workloads take the same connections, so that peers need not know which it is. */
export function sameWay(a: Workload, b: Workload): boolean {
  return wayOf(a) === wayOf(b) && (a.mode ?? 'full') === (b.mode ?? 'full');
}

/**
 * What Envoy serves between `before` and `wanted`: everything wanted, and every way in of `before` that would be gone,
 * for as long as its service is not in `finished`. A way that stays and no longer takes mutual TLS (`full` to `observe`
 * on one port) changes last as well: `full` takes plain text too.
 * @param finished `namespace/name` of services whose peers all know the new way
 */
export function servedWorkloads(
  before: readonly Workload[],
  wanted: readonly Workload[],
  finished: ReadonlySet<string>,
): readonly Workload[] {
  const open = new Map(before.flatMap((workload) => [[wayOf(workload), workload] as const]));
  open.delete(undefined);
  const taken = new Set<string | undefined>();
  const served = wanted.map((workload) => {
    const way = wayOf(workload);
    taken.add(way);
    const old = open.get(way);
    const narrows =
      old !== undefined &&
      workloadKey(old) === workloadKey(workload) &&
      (old.mode ?? 'full') === 'full' &&
      workload.mode === 'observe' &&
      !finished.has(workloadKey(workload));
    return narrows ? { ...workload, mode: 'full' as const } : workload;
  });
  const leftOver = [...open.values()].filter(
    (workload) => !taken.has(wayOf(workload)) && !finished.has(workloadKey(workload)),
  );
  return [...served, ...leftOver];
}

/** The host with these workloads. */
export function withWorkloads(host: Host, workloads: readonly Workload[]): Host {
  const { inboundCapturePort: _, ...rest } = host;
  const captured = workloads.some(({ inbound }) => inbound?.capture !== undefined);
  return { ...rest, workloads, ...(captured ? { inboundCapturePort: PORTS.inboundCapture } : {}) };
}

/**
 * The host with the capture ports of `former` too, as far as nobody has them now: rules of the kernel lead there until
 * they are replaced.
 */
export function withFormerCallers(host: Host, former: readonly Caller[]): Host {
  const { callers = [] } = host;
  const ports = new Set(callers.map(({ capturePort }) => capturePort));
  const kept = former.filter(({ capturePort }) => !ports.has(capturePort));
  return kept.length === 0 ? host : { ...host, callers: [...callers, ...kept] };
}
