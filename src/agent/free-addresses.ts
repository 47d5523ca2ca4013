/**
 * Keeps listeners off ports that somebody else has. Envoy sets SO_REUSEPORT: two Envoys on one port would silently share
 * its connections, so the kernel's refusal cannot be relied upon.
 */
import { statSync } from 'node:fs';
import { describeOwner, ListeningPorts, type OwnProcesses } from '../envoy/port-owner.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host, SocketAddress } from '../model/host.ts';

export interface UsableHost {
  /** Without the listeners whose port is taken; the very same object when none is. */
  readonly host: Host;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Who has the port of a listener; undefined: nobody but Envoy.
 * @param envoyUid the user of our Envoy
 */
export function occupied(
  object: string,
  { address, port }: SocketAddress,
  ports: ListeningPorts,
  envoyUid: number | undefined,
): Diagnostic | undefined {
  const owner = ports.owner(address, port);
  if (owner === undefined) return undefined;
  // Which sockets belong to a process of another user is hidden from us. That user is Envoy's alone.
  if (owner.pid === undefined && owner.uid === envoyUid && envoyUid !== process.getuid?.()) return undefined;
  return {
    code: 'TRY0103',
    severity: 'error',
    object,
    message: `${address}:${port} is in use by ${describeOwner(owner)}; this listener is left out`,
    remedy: 'Free the port, or choose another in agent.yaml. An application behind Envoy listens on 127.0.0.1 alone.',
  };
}

/**
 * The host with those of its listeners that can be opened.
 * @param envoyPids our own Envoys, whose listeners are not in the way
 * @param ports who listens where by TCP; looked up unless given
 */
export function withFreeAddresses(
  host: Host,
  envoyPids: OwnProcesses,
  ports = ListeningPorts.look(envoyPids),
): UsableHost {
  const diagnostics: Diagnostic[] = [];
  const [envoyPid] = [envoyPids ?? []].flat();
  const envoyUid = envoyPid === undefined ? undefined : uidOf(envoyPid);
  const isFree = (object: string, listen: SocketAddress, among = ports): boolean => {
    const diagnostic = occupied(object, listen, among, envoyUid);
    if (diagnostic !== undefined) diagnostics.push(diagnostic);
    return diagnostic === undefined;
  };
  const workloads = host.workloads.map((workload) =>
    workload.inbound === undefined ||
    // There the application listens.
    workload.inbound.capture !== undefined ||
    isFree(`service ${workload.namespace}/${workload.service}`, workload.inbound.listen)
      ? workload
      : { ...workload, inbound: undefined },
  );
  const upstreams = host.upstreams.filter(
    ({ serviceHost, listen }) => 'path' in listen || isFree(`upstream ${serviceHost}`, listen),
  );
  const { dns, proxy, ...rest } = host;
  const hasProxy = proxy !== undefined && isFree('the proxy (discovery.proxy)', proxy.listen);
  const answers = dns !== undefined && isFree('DNS (UDP)', dns.listen, ListeningPorts.lookUdp(envoyPids));
  if (diagnostics.length === 0) return { host, diagnostics };
  return {
    host: { ...rest, workloads, upstreams, ...(answers ? { dns } : {}), ...(hasProxy ? { proxy } : {}) },
    diagnostics,
  };
}

/** The user of a process; undefined where there is none. */
export function uidOf(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    return undefined;
  }
}
