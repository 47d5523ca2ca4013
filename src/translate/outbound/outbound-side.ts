/** All that this host calls: listeners of upstreams, services by name and captured callers, with routes and clusters. */

import type { HostProxy, NamedUpstream, SocketAddress, SocketPath, Upstream } from '../../model/host.ts';
import { GatewaySide } from '../gateway/gateway-side.ts';
import { accessLogOf } from '../listeners/access-log.ts';
import { listener } from '../listeners/listener.ts';
import { listenerName } from '../names.ts';
import { observeChains } from '../observe/observe-chains.ts';
import { bindableAddresses, type Calling, upstreamCalling } from '../view/calling.ts';
import type { Touched } from '../view/rule-changes.ts';
import {
  CalledPorts,
  type CalledTarget,
  type KnownTarget,
  NO_ALIASES,
  type Outbound,
  portsOf,
} from './called-ports.ts';
import { CapturedCallers } from './captured-callers.ts';
import {
  gateClusters,
  proxiedCluster,
  proxiedClusterName,
  proxyListener,
  proxyName,
  proxyRoutes,
} from './host-proxy.ts';
import { callInputs, outboundListener } from './outbound-listener.ts';
import { proxiedPorts } from './proxied-ports.ts';
import { upstreamTarget } from './upstream-target.ts';

export class OutboundSide {
  readonly #called = new CalledPorts();
  readonly #callers = new CapturedCallers(this.#called);
  readonly #gateways = new GatewaySide();

  /** Makes everything. */
  translate(of: Outbound): void {
    const { units, mesh, host, calling } = of;
    this.#called.begin(of);
    this.#callers.begin();
    this.#makeParts(of);
    if (host.proxy !== undefined) this.#proxy(of, host.proxy);
    this.#called.clusters.make(units, mesh, host, calling.apart);
    this.#called.sweep();
    this.#callers.sweep();
  }

  /** All parts; of those that are known only what has changed is made. */
  #makeParts(of: Outbound): void {
    const { units, mesh, host, calling } = of;
    for (const [i, upstream] of host.upstreams.entries())
      this.#part(of, `upstream ${i}`, upstream.serviceHost, () => this.#upstream(of, upstream));
    if (calling.bindsNames)
      for (const [i, upstream] of (host.namedUpstreams ?? []).entries())
        this.#part(of, `name ${i}`, upstream.serviceHost, () => this.#bound(of, upstream));
    this.#callers.translate(of);
    for (const own of of.ownCalls)
      this.#part(of, `own ${own.cluster}`, own.target.service.host, () =>
        this.#called.clusters.addOwn(own.cluster, this.#called.view(of, own.calling), own.target, own.calling),
      );
    if ((host.gateways ?? []).length === 0) return this.#gateways.forget();
    this.#part(of, 'gateways', undefined, () =>
      this.#gateways.translate({
        units,
        mesh,
        host,
        apart: calling.apart,
        clusters: this.#called.clusters,
        view: (who) => this.#called.view(of, who),
      }),
    );
  }

  #part<T>({ units }: Outbound, key: string, host: string | undefined, make: () => T): T {
    return this.#called.parts.get(units, key, host, make);
  }

  /** Makes what endpoints of these services change, of all that was made before. */
  translateEndpoints(of: Omit<Outbound, 'ownCalls'>, services: readonly string[]): void {
    const { units, mesh, host, calling } = of;
    this.#called.resume(of);
    for (const service of services) this.#called.clusters.remake(units, mesh, host, calling.apart, service);
    this.#gateways.translateEndpoints(units, mesh, host, services);
  }

  /** Makes what rules for the touched services change, of all that was made before. */
  translateRules(of: Outbound, touched: Touched): void {
    const { units, mesh, host, calling } = of;
    this.#called.resume(of);
    this.#called.parts.resume(units, (serviceHost) =>
      touched(mesh.services.get(serviceHost) ?? { host: serviceHost, aliases: NO_ALIASES }),
    );
    this.#callers.resume(of);
    this.#makeParts(of);
    this.#called.clusters.settle(units, mesh, host, calling.apart, this.#called.parts.settle(units));
  }

  #upstream(of: Outbound, upstream: Upstream): void {
    const { serviceHost, listen } = upstream;
    const target = upstreamTarget(upstream, of.mesh.services.get(serviceHost));
    if (target.kind === 'ambiguous') return;
    if (upstream.mode === 'observe' && target.kind === 'known') return this.#observe(of, listen, target);
    const who = upstreamCalling(of.host, upstream, of.calling);
    if (who !== undefined) this.#listen(of, listen, serviceHost, target, who);
  }

  /** A service by name where calls are not captured: a listener for each address and port. */
  #bound(of: Outbound, upstream: NamedUpstream): void {
    for (const target of portsOf(of, upstream)) {
      if (upstream.mode !== 'observe' && !this.#called.isInScope(of, target, of.calling.unnamed)) continue;
      for (const address of bindableAddresses(upstream)) {
        const listen = { address, port: target.port.number };
        if (upstream.mode === 'observe') this.#observe(of, listen, target);
        else this.#listen(of, listen, upstream.serviceHost, target, of.calling.unnamed);
      }
    }
  }

  /** The listener that takes requests for any service by their Host. */
  #proxy(of: Outbound, proxy: HostProxy): void {
    const { units, mesh, host, calling } = of;
    const name = proxyName(proxy);
    const ports = calling.bindsNames
      ? proxiedPorts(mesh, host, (service, port) => this.#called.isInScope(of, { service, port }, calling.unnamed))
      : [];
    const accessLog = accessLogOf(mesh.config);
    // What passes it is patched where the service itself is called.
    units.own('listeners', listenerName(proxy.listen), 'nobody');
    units.own('routeConfigs', name, 'nobody');
    units.make('listeners', listenerName(proxy.listen), [name, accessLog], () => proxyListener(proxy, name, accessLog));
    units.make('routeConfigs', name, [JSON.stringify(ports)], () => proxyRoutes(name, ports));
    for (const [cluster, make] of gateClusters(proxy)) {
      units.own('clusters', cluster, 'nobody');
      units.make('clusters', cluster, [name, proxy.gate.path], make);
    }
    for (const port of ports) {
      const cluster = proxiedClusterName(port);
      units.own('clusters', cluster, 'nobody');
      units.make('clusters', cluster, [listenerName(port.listen)], () => proxiedCluster(port));
    }
  }

  #observe(of: Outbound, listen: SocketAddress | SocketPath, target: KnownTarget): void {
    const name = listenerName(listen);
    const observed = this.#called.observed(of, target, name);
    of.units.make('listeners', name, Object.values(observed), () =>
      listener({
        address: listen,
        direction: 'outbound',
        accessLog: observed.accessLog,
        ...observeChains(observed),
      }),
    );
  }

  #listen(
    of: Outbound,
    listen: SocketAddress | SocketPath,
    serviceHost: string,
    target: CalledTarget,
    who: Calling,
  ): void {
    const seen: typeof target =
      target.kind === 'known' && !this.#called.isInScope(of, target, who)
        ? { kind: 'unknown', port: target.port.number }
        : target;
    const calls = this.#called.calls(of, serviceHost, seen, who);
    const name = listenerName(listen);
    of.units.own('listeners', name, { context: 'SIDECAR_OUTBOUND', workload: who });
    of.units.make('listeners', name, [name, ...callInputs(calls)], () => outboundListener(listen, calls));
  }
}
