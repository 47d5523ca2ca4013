/** What agent.yaml captures, as a plan for this host as it is now: which users there are, which units run. */
import { type CapturedCaller, type CapturePlan, NEVER_CAPTURED_PORTS } from '../platform/vm/capture-plan.ts';
import type { UnitCgroup } from '../platform/vm/cgroup-watcher.ts';
import { PORTS } from '../platform/vm/ports.ts';
import { sshPorts } from '../platform/vm/ssh-ports.ts';
import { userId } from '../platform/vm/users.ts';
import { assignCapturePorts, capturedCallers } from './callers.ts';
import type { AgentSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';

/** What the plan takes from the machine. */
export interface CaptureFacts {
  readonly envoyUid: number;
  readonly agentUid: number;
  /** Ids of users by name, as far as there are such users. */
  readonly uids: ReadonlyMap<string, number>;
  readonly sshPorts: readonly number[];
}

/** A plan, and what of agent.yaml is not in it now. */
export interface PlannedCapture {
  readonly plan: CapturePlan;
  /** Units that do not run: their calls are captured once they do. */
  readonly waitingFor: readonly string[];
  /** Users that this host does not have. */
  readonly unknownUsers: readonly string[];
}

export interface PlanOptions {
  readonly facts: CaptureFacts;
  /** The cgroups of the units that run, by unit. */
  readonly cgroups: ReadonlyMap<string, UnitCgroup>;
  /** As in `HostAllocations`; absent: the first ports. */
  readonly capturePorts?: ReadonlyMap<string, number>;
  /** Whether a policy guards a service's port, which must not be reached past the proxy then. Absent: none does. */
  readonly isGuarded?: (service: { readonly name: string; readonly namespace: string }) => boolean;
}

/** Systemd units whose calls agent.yaml captures. */
export function capturedUnits(settings: AgentSettings): readonly string[] {
  return capturedCallers(settings).flatMap(({ match }) => (match !== undefined && 'unit' in match ? [match.unit] : []));
}

/** Whether agent.yaml captures anything at all. */
export function capturesAnything(settings: AgentSettings): boolean {
  return (
    capturedCallers(settings).length > 0 ||
    settings.services.some(({ inbound, mode }) => inbound?.capture !== undefined && isProxied(mode))
  );
}

/** Asks the machine for the users that agent.yaml names, and for sshd's ports. */
export async function captureFacts(
  settings: AgentSettings,
  users: { readonly envoyUid: number; readonly agentUid: number },
): Promise<CaptureFacts> {
  const names = [
    ...capturedCallers(settings).flatMap(({ match }) => (match !== undefined && 'user' in match ? [match.user] : [])),
    ...settings.capture.exclude.users,
  ];
  const uids = new Map<string, number>();
  for (const name of names) {
    const uid = await userId(name);
    if (uid !== undefined) uids.set(name, uid);
  }
  return { ...users, uids, sshPorts: await sshPorts() };
}

/** The plan that agent.yaml asks for on this host. Pure. */
export function capturePlanOf(settings: AgentSettings, options: PlanOptions): PlannedCapture {
  const { facts, cgroups, isGuarded = () => false } = options;
  const { capture, dns } = settings;
  const all = capturedCallers(settings);
  const ports =
    options.capturePorts ??
    assignCapturePorts(
      all.map(({ key }) => key),
      new Map(),
    );
  const waitingFor: string[] = [];
  const unknownUsers = capture.exclude.users.filter((name) => !facts.uids.has(name));
  const callers = all.flatMap(({ key, match }): CapturedCaller[] => {
    const port = ports.get(key);
    if (port === undefined) return [];
    if (match === undefined) return capture.outbound === 'host' ? [{ port, match: { kind: 'rest' } }] : [];
    if ('unit' in match) {
      const cgroup = cgroups.get(match.unit);
      if (cgroup === undefined) waitingFor.push(match.unit);
      return cgroup === undefined ? [] : [{ port, match: { kind: 'cgroup', ...cgroup } }];
    }
    const uid = facts.uids.get(match.user);
    if (uid === undefined) unknownUsers.push(match.user);
    return uid === undefined ? [] : [{ port, match: { kind: 'uid', uid } }];
  });
  const inbound = settings.services.flatMap((service) => {
    if (service.inbound?.capture === undefined || !isProxied(service.mode)) return [];
    const guarded = service.mode === 'full' && isGuarded(service);
    return [
      {
        port: service.inbound.port,
        how: service.inbound.capture,
        onProxyFailure: capture.onProxyFailure.inbound ?? (guarded ? ('deny' as const) : ('direct' as const)),
      },
    ];
  });
  const containerPort = ports.get('rest');
  const reserved = new Set(NEVER_CAPTURED_PORTS.flatMap(({ from, to }) => [from, to]));
  return {
    plan: {
      callers,
      inbound,
      inboundPort: PORTS.inboundCapture,
      envoyUid: facts.envoyUid,
      agentUid: facts.agentUid,
      outboundOnFailure: capture.onProxyFailure.outbound,
      exclude: {
        ports: capture.exclude.ports.map((port) => ({ from: port, to: port })),
        addresses: capture.exclude.addresses,
        uids: capture.exclude.users.flatMap((name) => facts.uids.get(name) ?? []),
        interfaces: capture.exclude.interfaces,
      },
      sshPorts: facts.sshPorts,
      ownPorts: [settings.envoy.healthListener.port, dns.listen.port].filter((port) => !reserved.has(port)),
      namedRanges: dns.enabled ? dns.addresses : [],
      ...(capture.interfaces.length > 0 && containerPort !== undefined
        ? { containers: { interfaces: capture.interfaces, port: containerPort } }
        : {}),
    },
    waitingFor,
    unknownUsers,
  };
}
