/** Who calls from this host: whose certificate a connection carries, and by which namespace's rules it goes. */
import type { Caller, Host, NamedUpstream, Upstream } from '../model/host.ts';
import { DEFAULT_NAMESPACE } from '../model/host-names.ts';
import { parseWorkloadSpiffeId, type SpiffeId } from '../model/spiffe-id.ts';
import { isLoopback } from './ip-address.ts';

/** One who calls. */
export interface Calling {
  /** Undefined: plain text only. */
  readonly identity: SpiffeId | undefined;
  readonly namespace: string;
}

/** All who call from one host. */
export interface HostCalling {
  /**
   * Whether connections must be told apart, because they are of several identities, or of one and of nobody. Then what
   * takes a call marks it with its caller, and clusters choose the certificate by that mark.
   */
  readonly apart: boolean;
  /** The namespace whose route configurations and clusters bear Istio's names; those of others have a suffix. */
  readonly home: string;
  /** Who calls an upstream that names nobody. */
  readonly unnamed: Calling;
  /** Whether services by name are served at their loopback addresses, to whoever on this host connects there. */
  readonly bindsNames: boolean;
}

function namespaceOf(identity: SpiffeId | undefined): string | undefined {
  return identity === undefined ? undefined : parseWorkloadSpiffeId(identity)?.namespace;
}

/** Who calls there; undefined when it names nobody. */
function named({ caller }: Upstream): Calling | undefined {
  return caller === undefined ? undefined : { identity: caller, namespace: namespaceOf(caller) ?? DEFAULT_NAMESPACE };
}

/** Whether the mesh's rules hold for the calls of a captured caller; else they go on to where they were going. */
export function isMeshed({ mode }: Caller): boolean {
  return mode === undefined || mode === 'full' || mode === 'outbound';
}

/**
 * The callers whose calls are captured. Those whose port is another's too are left out, both: at one port nobody can tell
 * them apart, and one must not speak as the other.
 */
export function capturedCallers({ callers = [] }: Host): readonly Caller[] {
  return callers.filter(({ capturePort }) => callers.filter((one) => one.capturePort === capturePort).length === 1);
}

/** The addresses of a service by name on which Envoy itself can listen. */
export function bindableAddresses({ addresses }: NamedUpstream): readonly string[] {
  return addresses.filter(isLoopback);
}

/** Without an identity the unnamed caller's namespace is that of the first workload, or `default`. */
export function hostCalling(host: Host): HostCalling {
  const identity = host.callerIdentity;
  const unnamed = { identity, namespace: namespaceOf(identity) ?? host.workloads[0]?.namespace ?? DEFAULT_NAMESPACE };
  const calling = [
    ...host.upstreams.flatMap((upstream) => (upstream.mode === 'observe' ? [] : [named(upstream) ?? unnamed])),
    ...capturedCallers(host).filter(isMeshed),
  ];
  const apart = new Set(calling.map((one) => one.identity)).size > 1;
  const bindable = (host.namedUpstreams ?? []).some((upstream) => bindableAddresses(upstream).length > 0);
  const bindsNames = bindable && calling.every((one) => one.identity === identity);
  const namespaces = [...(bindsNames ? [unnamed] : []), ...calling].map(({ namespace }) => namespace);
  const [first = unnamed.namespace] = namespaces.toSorted();
  return { apart, home: namespaces.includes(unnamed.namespace) ? unnamed.namespace : first, unnamed, bindsNames };
}

/**
 * Who calls an upstream. Undefined where that cannot be told: anybody on the host may connect to a TCP port, so on a
 * host of several callers it needs one that is named.
 */
export function upstreamCalling(upstream: Upstream, { apart, unnamed }: HostCalling): Calling | undefined {
  return named(upstream) ?? (apart && !('path' in upstream.listen) ? undefined : unnamed);
}
