/**
 * Transparent capture as data: whose connections come to Envoy, at which of its ports, and what is always left alone.
 * `captureRuleset` makes nftables rules of it.
 */
import { isIP } from 'node:net';
import { TrysailError } from '../../lib/errors.ts';
import { PORTS } from './ports.ts';

/** Whose connections: every process of a cgroup (a unit), of a user, or all of the host that nobody else has. */
export type CallerMatch =
  | {
      readonly kind: 'cgroup';
      /** Below the cgroup v2 root, such as `system.slice/orders.service`. It has to exist when the rules are loaded. */
      readonly path: string;
      /** The cgroup's inode: a unit that starts anew has the same path and another cgroup. */
      readonly id?: number;
    }
  | { readonly kind: 'uid'; readonly uid: number }
  | { readonly kind: 'rest' };

/** Connections of a caller go to Envoy's `port` on 127.0.0.1 and ::1, where their first destination is asked for. */
export interface CapturedCaller {
  readonly port: number;
  readonly match: CallerMatch;
}

/** `direct`: what the proxy would have taken passes it while it is dead. `deny`: it is refused then. */
export type OnProxyFailure = 'direct' | 'deny';

/** Connections from elsewhere to `port` of this host go to `inboundPort`. */
export interface CapturedInbound {
  readonly port: number;
  /**
   * `redirect`: Envoy's listener is an ordinary one. `tproxy`: it is transparent, and Envoy calls the application from
   * the caller's address, with socket mark `TPROXY_MARK` (both need CAP_NET_ADMIN).
   */
  readonly how: 'redirect' | 'tproxy';
  readonly onProxyFailure: OnProxyFailure;
}

export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** Everything that decides the rules. Readonly data; no order in it matters but that of `callers`: the first match wins. */
export interface CapturePlan {
  readonly callers: readonly CapturedCaller[];
  readonly inbound: readonly CapturedInbound[];
  /** Where captured inbound connections arrive; Envoy listens there on every address of the host. */
  readonly inboundPort: number;
  /** The proxy's user: its own connections go where they say, except to captured inbound ports of this host. */
  readonly envoyUid: number;
  /** The agent's user: never captured. */
  readonly agentUid: number;
  readonly outboundOnFailure: OnProxyFailure;
  readonly exclude: {
    /** Beside `NEVER_CAPTURED_PORTS`, in both directions: destination ports. */
    readonly ports: readonly PortRange[];
    /** Destinations, IPv4 and IPv6, `address` or `address/prefix`. */
    readonly addresses: readonly string[];
    readonly uids: readonly number[];
    /** Outbound by way of these, inbound from these. */
    readonly interfaces: readonly string[];
  };
  /** Ports on which sshd listens, 22 aside. */
  readonly sshPorts: readonly number[];
  /** Further ports of ours that must reach their listener as they are, such as the health listener. */
  readonly ownPorts: readonly number[];
  /** Ranges of services by name: captured although they may be loopback addresses. */
  readonly namedRanges: readonly string[];
  /**
   * Bridges of containers, whose calls go to `port`, where Envoy listens at every address. Absent: none.
   */
  readonly containers?: { readonly interfaces: readonly string[]; readonly port: number };
}

/** Istio's mark of connections that carry the caller's address, and the routing table that brings their answers back. */
export const TPROXY_MARK = 1337;
export const TPROXY_ROUTE_TABLE = 133;

/** Connections that `trysail bypass` takes past the proxy: every chain of ours leaves them alone. */
export const BYPASS_MARK = 1338;

/** From here Envoy calls an application on a captured port of the host's own address, so that it is not captured again. */
export const PASSTHROUGH_ADDRESSES = ['127.0.0.6', '::6'] as const;

/** ssh, DNS, Consul (serf, RPC, HTTP(S), gRPC, DNS), the mesh's CA, and the ports that every agent has. */
export const NEVER_CAPTURED_PORTS: readonly PortRange[] = [
  { from: 22, to: 22 },
  { from: 53, to: 53 },
  { from: 8300, to: 8302 },
  { from: 8500, to: 8503 },
  { from: 8600, to: 8600 },
  ...Object.values(PORTS).map((port) => ({ from: port, to: port })),
];

/** The metadata service of clouds; a host that cannot reach it may lose its credentials or its network. */
export const NEVER_CAPTURED_ADDRESSES: readonly string[] = ['169.254.169.254', 'fd00:ec2::254'];

/** Ports at which captured connections arrive: nobody may connect to them in another way. */
export function capturePorts(plan: CapturePlan): readonly number[] {
  const ports = plan.callers.map(({ port }) => port);
  if (plan.inbound.length > 0) ports.push(plan.inboundPort);
  if (plan.containers !== undefined) ports.push(plan.containers.port);
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** All ports that are left alone: the fixed ones, sshd's, our own, the excluded; sorted, without overlaps. */
export function leftAlonePorts(plan: CapturePlan): readonly PortRange[] {
  const single = [...plan.sshPorts, ...plan.ownPorts, ...capturePorts(plan)].map((port) => ({ from: port, to: port }));
  const merged: PortRange[] = [];
  for (const range of [...NEVER_CAPTURED_PORTS, ...plan.exclude.ports, ...single].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && range.from <= last.to + 1)
      merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, range.to) };
    else merged.push(range);
  }
  return merged;
}

const isPort = (value: number): boolean => Number.isInteger(value) && value > 0 && value < 65_536;
const isUid = (value: number): boolean => Number.isInteger(value) && value >= 0 && value < 2 ** 32 - 1;
/** What systemd makes of unit names, and nothing that could end a quoted string of nft. */
const CGROUP_PATH = /^[\w@:.\\-]+(?:\/[\w@:.\\-]+)*$/;
/** Names that the kernel takes, without a wildcard of nft's. */
const INTERFACE = /^[\w.@:-]{1,15}$/;

function isRange(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}

function* faults(plan: CapturePlan): Generator<string> {
  const ports = [plan.inboundPort, ...capturePorts(plan), ...plan.inbound.map(({ port }) => port)];
  for (const port of [...ports, ...plan.sshPorts, ...plan.ownPorts]) if (!isPort(port)) yield `port ${port}`;
  for (const { from, to } of plan.exclude.ports)
    if (!isPort(from) || !isPort(to) || from > to) yield `excluded ports ${from}-${to}`;
  for (const uid of [plan.envoyUid, plan.agentUid, ...plan.exclude.uids]) if (!isUid(uid)) yield `user id ${uid}`;
  for (const range of [...plan.exclude.addresses, ...plan.namedRanges])
    if (!isRange(range)) yield `address ${JSON.stringify(range)}`;
  for (const name of [...plan.exclude.interfaces, ...(plan.containers?.interfaces ?? [])])
    if (!INTERFACE.test(name)) yield `interface ${JSON.stringify(name)}`;
  const left = leftAlonePorts(plan);
  for (const { port } of plan.inbound)
    if (left.some(({ from, to }) => from <= port && port <= to)) yield `inbound port ${port}, which is never captured`;
  for (const { match } of plan.callers) {
    if (match.kind === 'cgroup' && (!CGROUP_PATH.test(match.path) || match.path.split('/').includes('..')))
      yield `cgroup ${JSON.stringify(match.path)}`;
    if (match.kind === 'uid' && (!isUid(match.uid) || match.uid === plan.envoyUid || match.uid === plan.agentUid))
      yield `caller with user id ${match.uid}, which is the proxy's, the agent's, or none`;
  }
  if (plan.callers.slice(0, -1).some(({ match }) => match.kind === 'rest')) yield 'callers after the rest of the host';
}

/**
 * Refuses what must not become rules.
 * @throws TrysailError `CAPTURE_PLAN_INVALID`
 */
export function checkCapturePlan(plan: CapturePlan): void {
  const [...found] = faults(plan);
  if (found.length === 0) return;
  throw new TrysailError('CAPTURE_PLAN_INVALID', `capture cannot be done as asked for: ${found.join('; ')}`, {
    remedy:
      'Correct services, capture and callers in agent.yaml; ssh, Consul, DNS and our own ports cannot be captured.',
  });
}
