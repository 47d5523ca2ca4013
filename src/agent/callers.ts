/** Whose calls are captured on this host, and the port of Envoy that each caller's connections arrive at. */
import type { Mode } from '../model/host.ts';
import { PORTS } from '../platform/vm/ports.ts';
import type { Account, AgentSettings, CallerMatch } from './settings.ts';

/** Ports of callers after the first one; none of them is used otherwise. */
const LATER_PORTS = 800;

/** One caller whose calls are captured. */
export interface CapturedCaller {
  /** `unit:orders.service`, `user:orders`, or `rest` for whoever is not named. */
  readonly key: string;
  /** Undefined: all others, and the interfaces of containers. */
  readonly match: CallerMatch | undefined;
  /** Undefined on a host without certificates. */
  readonly account: Account | undefined;
  readonly mode: Exclude<Mode, 'off'>;
}

/** How a caller is told from others, as text. */
export function callerKey(match: CallerMatch | undefined): string {
  if (match === undefined) return 'rest';
  return 'unit' in match ? `unit:${match.unit}` : `user:${match.user}`;
}

/** The callers whose calls are captured, each once, in the order of agent.yaml. A caller in mode `off` is not. */
export function capturedCallers({ capture, services, callAs, mode }: AgentSettings): readonly CapturedCaller[] {
  const callers = new Map<string, CapturedCaller>();
  if (capture.outbound !== 'none')
    for (const service of services) {
      const { caller } = service;
      const key = callerKey(caller);
      if (caller === undefined || service.mode === 'off' || callers.has(key)) continue;
      const account = { namespace: service.namespace, serviceAccount: service.serviceAccount };
      callers.set(key, { key, match: caller, account, mode: service.mode });
    }
  if ((capture.outbound === 'host' || capture.interfaces.length > 0) && mode !== 'off')
    callers.set('rest', { key: 'rest', match: undefined, account: callAs, mode });
  return [...callers.values()];
}

/**
 * A port for every caller: 15001 for the first that this host ever had, then 15101 and on. A caller keeps the port that
 * it has in `before`, and no other gets it while there are unused ones: rules of the kernel that are older than the
 * listeners must not lead one caller's calls to another's identity.
 * @param before ports by key, of callers that are gone too
 */
export function assignCapturePorts(
  keys: readonly string[],
  before: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const ports = new Map(before);
  const used = new Set(ports.values());
  const all = [PORTS.outboundCapture, ...Array.from({ length: LATER_PORTS }, (_, i) => PORTS.laterOutboundCapture + i)];
  for (const key of keys) {
    if (ports.has(key)) continue;
    let port = all.find((candidate) => !used.has(candidate));
    if (port === undefined) {
      const [gone] = [...ports].find(([other]) => !keys.includes(other)) ?? [];
      if (gone === undefined) continue;
      port = ports.get(gone);
      ports.delete(gone);
      if (port === undefined) continue;
    }
    used.add(port);
    ports.set(key, port);
  }
  return ports;
}
