/** All that peers reach on this host: a cluster for each application, and the listeners before it. */
import type { ServerTls } from '../../model/gateway.ts';
import type { Host } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { RateLimit } from '../../model/rate-limit.ts';
import { serverFiles } from '../gateway/server-files.ts';
import { accessLogOf } from '../listeners/access-log.ts';
import { type ListenerChains, listener } from '../listeners/listener.ts';
import { Memo } from '../memo.ts';
import { inboundClusterName, listenerName } from '../names.ts';
import { observeChains } from '../observe/observe-chains.ts';
import { observeInboundCluster } from '../observe/observe-cluster.ts';
import { type CapturedChains, capturedChains } from '../outbound/captured-chains.ts';
import { protocolKind } from '../protocol-kind.ts';
import { fleetShare } from '../rate-limit/rate-limit-bucket.ts';
import { appliedLimits, type OwnCall, ownCalls } from '../rate-limit/rate-limit-calls.ts';
import { chooseRateLimits } from '../rate-limit/rate-limit-choice.ts';
import type { AppliedLimit } from '../rate-limit/rate-limit-filters.ts';
import type { ResourceUnits } from '../resource-units.ts';
import { useCertificateFiles, useRootFiles } from '../tls/file-secrets.ts';
import { INBOUND_CAPTURE, inboundCaptureListener } from './inbound-capture.ts';
import { inboundCluster } from './inbound-cluster.ts';
import { type InboundSpec, inboundChains } from './inbound-listener.ts';
import { hostInboundPorts, type Inbound } from './inbound-ports.ts';
import { inboundRouteConfig } from './inbound-routes.ts';
import { mtlsMode } from './peer-authentication.ts';

/** What all of one translation has in common. */
interface Side {
  readonly units: ResourceUnits;
  readonly mesh: Mesh;
  readonly host: Host;
}

/** A port whose requests are limited. */
interface Limited extends Inbound {
  readonly cluster: string;
  readonly limits: readonly AppliedLimit[];
}

function isSameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i]);
}

export class InboundSide {
  readonly #chains = new Memo<CapturedChains>();
  readonly #rateLimits = new Memo<readonly RateLimit[]>(isSameList);
  readonly #limits = new Memo<readonly AppliedLimit[]>();
  /** The ports whose limits depend on how many instances there are. */
  #shared: Limited[] = [];

  /** Makes everything; returns the calls that Envoy itself makes for it. */
  translate(units: ResourceUnits, mesh: Mesh, host: Host): readonly OwnCall[] {
    const side = { units, mesh, host };
    const all = hostInboundPorts(mesh, host);
    const captured: CapturedChains[] = [];
    const calls: OwnCall[] = [];
    this.#shared = [];
    for (const each of all) {
      const { port } = each.taken.listen;
      // Two workloads may have one port at two addresses; the host then tells them apart.
      const isShared = all.filter((other) => other.taken.listen.port === port).length > 1;
      const rateLimits = this.#chosen(side, each);
      const chains = this.#port(side, each, isShared, rateLimits);
      if (chains !== undefined) captured.push(chains);
      calls.push(...ownCalls(mesh, host, each.workload, rateLimits));
    }
    this.#capture(units, host, captured, all, mesh.config);
    for (const memo of [this.#chains, this.#rateLimits, this.#limits]) memo.sweep();
    return calls;
  }

  /** Makes what endpoints of these services change, of all that was made before: shares of limits. */
  translateEndpoints({ units, mesh, host }: Side, services: readonly string[]): void {
    for (const limited of this.#shared) {
      if (!services.includes(limited.workload.serviceHost)) continue;
      units.delete('routeConfigs', limited.cluster);
      this.#routes({ units, mesh, host }, limited);
    }
  }

  #chosen({ mesh }: Side, { workload, taken }: Inbound): readonly RateLimit[] {
    const { rateLimits, services, config } = mesh;
    const service = services.get(workload.serviceHost);
    const isHttp = workload.mode !== 'observe' && protocolKind(taken.protocol) !== 'tcp';
    return this.#rateLimits.get(listenerName(taken.listen), [rateLimits, service, workload, config, isHttp], () =>
      isHttp ? chooseRateLimits(rateLimits, workload, taken, service, config.rootNamespace) : [],
    );
  }

  /** The cluster of one application, and its listener; or, where connections to it are captured, its filter chains. */
  #port(side: Side, each: Inbound, isShared: boolean, rateLimits: readonly RateLimit[]): CapturedChains | undefined {
    const { units, mesh, host } = side;
    const { workload, taken, pool } = each;
    const { config } = mesh;
    const { address, port } = taken.listen;
    const observed = workload.mode === 'observe';
    const cluster = `${inboundClusterName(port)}${isShared ? workload.serviceHost : ''}`;
    const place = JSON.stringify(taken);
    const service = mesh.services.get(workload.serviceHost);
    const portName = service?.ports.find(({ number }) => number === port)?.name ?? '';
    units.make('clusters', cluster, [workload, config, place, pool, portName], () =>
      observed ? observeInboundCluster(cluster, workload, taken) : inboundCluster(cluster, each, config, portName),
    );
    const demanded = mtlsMode(mesh.peerAuthentications, workload, port, config.rootNamespace);
    // Chains for TLS would wait for a certificate that never comes. STRICT still lets nobody in.
    const mode = demanded === 'PERMISSIVE' && host.withoutCertificates === true ? 'DISABLE' : demanded;
    const name = listenerName(taken.listen);
    const limits = this.#limits.get(name, [rateLimits, workload], () =>
      appliedLimits(rateLimits, { namespace: workload.namespace, name: workload.service }),
    );
    if (limits.length > 0) this.#limited(side, { ...each, cluster, limits });
    const tcpIdleTimeoutMs = pool?.tcpIdleTimeoutMs;
    const ownTls = taken.tls && this.#ownTls(side, taken.tls);
    // Without a way to its certificates nobody is let in.
    if (taken.tls !== undefined && ownTls === undefined) return undefined;
    const chains = (): ListenerChains =>
      observed
        ? observeChains({
            kind: protocolKind(taken.protocol),
            cluster,
            statPrefix: `inbound_${name}`,
            accessLog: accessLogOf(config),
          })
        : inboundChains({ workload, inbound: taken, cluster, mode, config, limits, tcpIdleTimeoutMs, ownTls });
    const inputs = [workload, config, mode, cluster, place, limits, tcpIdleTimeoutMs, host.credentialsFolder];
    if (taken.capture === undefined) {
      units.own('listeners', name, { context: 'SIDECAR_INBOUND', workload });
      units.make('listeners', name, inputs, () =>
        listener({
          address: taken.listen,
          direction: 'inbound',
          accessLog: accessLogOf(config),
          detectionTimeoutMs: config.protocolDetectionTimeoutMs,
          ...chains(),
        }),
      );
      return undefined;
    }
    const destination = { port, addresses: isShared ? [address] : [] };
    return units.lastGood(
      `captured port ${name}`,
      () => this.#chains.get(name, [...inputs, isShared], () => capturedChains(`${port}`, destination, chains())),
      () => this.#chains.keep(name),
    );
  }

  /** Has Envoy read the certificates of a port; undefined where the host has no folder for those that are named. */
  #ownTls({ units, host }: Side, tls: ServerTls): InboundSpec['ownTls'] {
    const files = serverFiles(tls, host);
    if (files === undefined) return undefined;
    return {
      tls,
      certificates: files.certificates.map((pair) => useCertificateFiles(units, pair)),
      roots: files.roots && useRootFiles(units, files.roots),
    };
  }

  #limited(side: Side, limited: Limited): void {
    const { cluster, limits, workload } = limited;
    side.units.own('routeConfigs', cluster, { context: 'SIDECAR_INBOUND', workload });
    if (limits.some(({ limit, server }) => limit.scope === 'fleet' && server === undefined)) this.#shared.push(limited);
    this.#routes(side, limited);
  }

  #routes({ units, mesh, host }: Side, limited: Limited): void {
    const { cluster, limits, workload, taken } = limited;
    const { listen, protocol } = taken;
    const share = this.#shared.includes(limited)
      ? fleetShare((host.fleet ?? mesh.endpoints).get(workload.serviceHost) ?? [], taken)
      : undefined;
    units.make('routeConfigs', cluster, [limits, listen.port, protocol, share?.weight, share?.total], () =>
      inboundRouteConfig({ cluster, port: listen.port, protocol, limits }, share),
    );
  }

  #capture(
    units: ResourceUnits,
    { inboundCapturePort: port, withoutIpv6 = false }: Host,
    captured: readonly CapturedChains[],
    all: readonly Pick<Inbound, 'taken'>[],
    config: MeshConfig,
  ): void {
    if (port === undefined || captured.length === 0) return;
    const keepsCaller = all.flatMap(({ taken }) => (taken.capture === 'tproxy' ? [taken.listen.port] : []));
    const { protocolDetectionTimeoutMs: detectionTimeoutMs } = config;
    const accessLog = accessLogOf(config);
    const inputs = [port, withoutIpv6, detectionTimeoutMs, accessLog, ...keepsCaller, ...captured];
    units.make('listeners', INBOUND_CAPTURE, inputs, () =>
      inboundCaptureListener({ port, withoutIpv6, captured, keepsCaller, accessLog, detectionTimeoutMs }),
    );
  }
}
