/** Who calls from this host: whose certificate a connection carries, and by which namespace's rules it goes. */
import type { Caller, GatewayRole, Host, NamedUpstream, Upstream } from '../../model/host.ts';
import { DEFAULT_NAMESPACE } from '../../model/host-names.ts';
import { parseWorkloadSpiffeId, type SpiffeId } from '../../model/spiffe-id.ts';
import { isLoopback } from '../ip-address.ts';

/** Whom rules are chosen for. */
export interface Client {
  readonly namespace: string;
  /** The calling service in that namespace; empty where none is known. */
  readonly workload: string;
  /** Of the calling workload. */
  readonly labels: Readonly<Record<string, string>>;
  /** It is a gateway of that name, to which no Sidecar applies. */
  readonly gateway?: true;
}

/** One who calls. */
export interface Calling extends Client {
  /** Undefined: plain text only. */
  readonly identity: SpiffeId | undefined;
}

/** All who call from one host. */
export interface HostCalling {
  /**
   * Whether connections must be told apart, because they are of several identities, or of one and of nobody. Then what
   * takes a call marks it with its caller, and clusters choose the certificate by that mark.
   */
  readonly apart: boolean;
  /** Whether local applications are of several identities, so that who connects to a TCP port is not known. */
  readonly ambiguous: boolean;
  /** The client whose route configurations and clusters bear Istio's names; those of others have a suffix. */
  readonly home: Calling;
  /** Who calls an upstream that names nobody. */
  readonly unnamed: Calling;
  /** Whether services by name are served at their loopback addresses, to whoever on this host connects there. */
  readonly bindsNames: boolean;
}

const NO_LABELS: Readonly<Record<string, string>> = {};

function namespaceOf(identity: SpiffeId | undefined): string | undefined {
  return identity === undefined ? undefined : parseWorkloadSpiffeId(identity)?.namespace;
}

/** Workloads that share an account share a certificate: the first stands for them. */
function callingOf({ workloads }: Host, identity: SpiffeId | undefined, namespace: string): Calling {
  const workload =
    identity === undefined
      ? workloads.find((one) => one.namespace === namespace)
      : workloads.find((one) => one.identity === identity);
  return { identity, namespace, workload: workload?.service ?? '', labels: workload?.labels ?? NO_LABELS };
}

/** Who calls there; undefined when it names nobody. */
function named(host: Host, { caller }: Upstream): Calling | undefined {
  return caller === undefined ? undefined : callingOf(host, caller, namespaceOf(caller) ?? DEFAULT_NAMESPACE);
}

/** Whose captured calls they are. */
export function callerCalling(host: Host, { identity, namespace }: Caller): Calling {
  return callingOf(host, identity, namespace);
}

/** Who calls what is behind a gateway. */
export function gatewayCalling({ namespace, name, labels, identity }: GatewayRole): Calling {
  return { identity, namespace, workload: name, labels, gateway: true };
}

/**
 * Clients with one key see the same rules. Labels count only where a rule of the mesh asks for them, so that the
 * workloads of a namespace share all they can.
 */
export function clientKey({ namespace, workload, gateway }: Client, byLabels: boolean): string {
  if (gateway === true) return `${namespace}/gateway/${workload}`;
  return byLabels ? `${namespace}/${workload}` : namespace;
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
  const unnamed = callingOf(host, identity, namespaceOf(identity) ?? host.workloads[0]?.namespace ?? DEFAULT_NAMESPACE);
  const gateways = (host.gateways ?? []).map(gatewayCalling);
  const calling = [
    ...host.upstreams.flatMap((upstream) => (upstream.mode === 'observe' ? [] : [named(host, upstream) ?? unnamed])),
    ...capturedCallers(host)
      .filter(isMeshed)
      .map((caller) => callerCalling(host, caller)),
  ];
  const ambiguous = new Set(calling.map((one) => one.identity)).size > 1;
  const bindable = (host.namedUpstreams ?? []).some((upstream) => bindableAddresses(upstream).length > 0);
  const bindsNames = bindable && calling.every((one) => one.identity === identity);
  const all = [...(bindsNames ? [unnamed] : []), ...calling];
  const apart = new Set([...all, ...gateways].map((one) => one.identity)).size > 1;
  const [first = gateways[0] ?? unnamed] = all.toSorted((a, b) => (clientKey(a, true) < clientKey(b, true) ? -1 : 1));
  const unnamedCalls = all.some(({ namespace }) => namespace === unnamed.namespace);
  return { apart, ambiguous, home: unnamedCalls ? unnamed : first, unnamed, bindsNames };
}

/**
 * Who calls an upstream. Undefined where that cannot be told: anybody on the host may connect to a TCP port, so on a
 * host of several callers it needs one that is named.
 */
export function upstreamCalling(
  host: Host,
  upstream: Upstream,
  { ambiguous, unnamed }: HostCalling,
): Calling | undefined {
  return named(host, upstream) ?? (ambiguous && !('path' in upstream.listen) ? undefined : unnamed);
}
