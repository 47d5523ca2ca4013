/** All that peers reach on this host: a cluster for each application, and the listeners before it. */
import type { Host, InboundPort, Workload } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { type CapturedChains, capturedChains } from './captured-chains.ts';
import { INBOUND_CAPTURE, inboundCaptureListener } from './inbound-capture.ts';
import { inboundCluster } from './inbound-cluster.ts';
import { inboundChains } from './inbound-listener.ts';
import { type ListenerChains, listener } from './listener.ts';
import { Memo } from './memo.ts';
import { inboundClusterName, listenerName } from './names.ts';
import { observeChains } from './observe-chains.ts';
import { observeInboundCluster } from './observe-cluster.ts';
import { mtlsMode } from './peer-authentication.ts';
import { protocolKind } from './protocol-kind.ts';
import type { ResourceUnits } from './resource-units.ts';

interface Inbound {
  readonly workload: Workload;
  readonly inbound: InboundPort;
  readonly observed: boolean;
  /** Whether another workload has the same port, at another address. */
  readonly shared: boolean;
}

/** Whether connections to a workload's port, if it has one, pass Envoy. */
export function isProxied({ mode }: Workload): boolean {
  return mode !== 'off' && mode !== 'outbound';
}

/** The workloads whose inbound port is Envoy's, each address and port once: the first holds. */
function proxiedWorkloads({ workloads }: Host): readonly Omit<Inbound, 'shared'>[] {
  const proxied = new Map<string, Omit<Inbound, 'shared'>>();
  for (const workload of workloads) {
    const { inbound } = workload;
    if (inbound === undefined || !isProxied(workload)) continue;
    const name = listenerName(inbound.listen);
    if (!proxied.has(name)) proxied.set(name, { workload, inbound, observed: workload.mode === 'observe' });
  }
  return [...proxied.values()];
}

export class InboundSide {
  readonly #chains = new Memo<CapturedChains>();

  /** Makes everything. */
  translate(units: ResourceUnits, mesh: Mesh, host: Host): void {
    const all = proxiedWorkloads(host);
    const captured: CapturedChains[] = [];
    for (const each of all) {
      const { port } = each.inbound.listen;
      // Two workloads may have one port at two addresses; the host then tells them apart.
      const shared = all.filter((other) => other.inbound.listen.port === port).length > 1;
      const chains = this.#workload(units, mesh, host, { ...each, shared });
      if (chains !== undefined) captured.push(chains);
    }
    this.#capture(units, host, captured, all);
    this.#chains.sweep();
  }

  /** The cluster of one workload, and its listener; or, where connections to it are captured, its filter chains. */
  #workload(
    units: ResourceUnits,
    mesh: Mesh,
    host: Host,
    { workload, inbound, observed, shared }: Inbound,
  ): CapturedChains | undefined {
    const { config } = mesh;
    const { accessLogFile } = config;
    const { address, port } = inbound.listen;
    const cluster = `${inboundClusterName(port)}${shared ? workload.serviceHost : ''}`;
    units.make('clusters', cluster, [workload, config], () =>
      observed ? observeInboundCluster(cluster, workload, inbound) : inboundCluster(cluster, workload, inbound, config),
    );
    const demanded = mtlsMode(mesh.peerAuthentications, workload, port, config.rootNamespace);
    // Chains for TLS would wait for a certificate that never comes. STRICT still lets nobody in.
    const mode = demanded === 'PERMISSIVE' && host.withoutCertificates === true ? 'DISABLE' : demanded;
    const name = listenerName(inbound.listen);
    const chains = (): ListenerChains =>
      observed
        ? observeChains({
            kind: protocolKind(inbound.protocol),
            cluster,
            statPrefix: `inbound_${name}`,
            accessLogFile,
          })
        : inboundChains({ workload, inbound, cluster, mode, config });
    const inputs = [workload, config, mode, cluster];
    if (inbound.capture === undefined) {
      units.own('listeners', name, { context: 'SIDECAR_INBOUND', workload });
      units.make('listeners', name, inputs, () =>
        listener({ address: inbound.listen, direction: 'inbound', ...chains() }),
      );
      return undefined;
    }
    const destination = { port, addresses: shared ? [address] : [] };
    return units.lastGood(
      `captured port ${name}`,
      () => this.#chains.get(name, [...inputs, shared], () => capturedChains(`${port}`, destination, chains())),
      () => this.#chains.keep(name),
    );
  }

  #capture(
    units: ResourceUnits,
    { inboundCapturePort: port, withoutIpv6 = false }: Host,
    captured: readonly CapturedChains[],
    all: readonly Pick<Inbound, 'inbound'>[],
  ): void {
    if (port === undefined || captured.length === 0) return;
    const keepsCaller = all.flatMap(({ inbound }) => (inbound.capture === 'tproxy' ? [inbound.listen.port] : []));
    units.make('listeners', INBOUND_CAPTURE, [port, withoutIpv6, ...keepsCaller, ...captured], () =>
      inboundCaptureListener({ port, withoutIpv6, captured, keepsCaller }),
    );
  }
}
