/** The listeners of callers whose calls are captured: services by name, those that configuration describes, and all others. */

import type { Caller } from '../../model/host.ts';
import { callerState } from '../clusters/cluster-callers.ts';
import { dnsRefreshMs } from '../clusters/dynamic-dns.ts';
import { connectionParts } from '../connections/connection-parts.ts';
import { EgressSide } from '../egress/egress-side.ts';
import type { UnknownHosts } from '../http/shared-routes.ts';
import { accessLogOf } from '../listeners/access-log.ts';
import type { ListenerChains } from '../listeners/listener.ts';
import { markCaller } from '../listeners/network-filters.ts';
import { Memo } from '../memo.ts';
import { listenerName } from '../names.ts';
import { observeChains } from '../observe/observe-chains.ts';
import { callerCalling, capturedCallers, isMeshed } from '../view/calling.ts';
import { type CalledPorts, type Outbound, portsOf } from './called-ports.ts';
import { type CapturedChains, capturedChains, type Destination } from './captured-chains.ts';
import { captureAddresses, outboundCaptureListener, outboundCaptureName } from './outbound-capture.ts';
import { callInputs, type OutboundCalls, outboundChains } from './outbound-listener.ts';
import { outboundPolicy } from './outbound-policy.ts';
import {
  BLACK_HOLE_CLUSTER,
  blackHoleCluster,
  DYNAMIC_DNS_CLUSTER,
  dynamicDnsPassthrough,
  PASSTHROUGH_CLUSTER,
  passBytes,
  passthroughCluster,
} from './passthrough.ts';

export class CapturedCallers {
  readonly #called: CalledPorts;
  readonly #chains = new Memo<CapturedChains>();
  readonly #egress = new EgressSide();

  constructor(called: CalledPorts) {
    this.#called = called;
  }

  /** Begins a translation of everything. */
  begin(): void {
    this.#egress.begin();
  }

  /** Begins a translation with all that was made before: has what many services share looked at again. */
  resume({ units, host }: Outbound): void {
    this.#egress.resume(units);
    for (const caller of capturedCallers(host)) units.delete('listeners', outboundCaptureName(caller.capturePort));
  }

  /** Ends a translation of everything: what nobody asked for is forgotten. */
  sweep(): void {
    this.#chains.sweep();
    this.#egress.sweep();
  }

  /** Makes all of them, of parts that are known only what has changed. */
  translate(of: Outbound): void {
    for (const caller of capturedCallers(of.host)) this.#caller(of, caller);
  }

  #part<T>({ units }: Outbound, key: string, host: string | undefined, make: () => T): T {
    return this.#called.parts.get(units, key, host, make);
  }

  /** The listener of a caller whose calls are captured. */
  #caller(of: Outbound, caller: Caller): void {
    const { units, mesh, host } = of;
    const { protocolDetectionTimeoutMs: detectionTimeoutMs } = mesh.config;
    const accessLog = accessLogOf(mesh.config);
    units.make('clusters', PASSTHROUGH_CLUSTER, [], passthroughCluster);
    units.make('clusters', BLACK_HOLE_CLUSTER, [], blackHoleCluster);
    const names = [...new Set((host.namedUpstreams ?? []).flatMap((upstream) => upstream.addresses))];
    const unknown = this.#part(of, `unknown ${caller.capturePort}`, '', () => this.#unknown(of, caller));
    const captured = [
      ...(caller.mode === 'off' ? [] : this.#captured(of, caller)),
      ...(isMeshed(caller) ? this.#beyond(of, caller, names, unknown.requests) : []),
    ];
    const name = outboundCaptureName(caller.capturePort);
    const who = callerCalling(host, caller);
    units.own('listeners', name, { context: 'SIDECAR_OUTBOUND', workload: who });
    const addresses = captureAddresses(caller, host.withoutIpv6 === true);
    const mark = of.calling.apart && unknown.marked ? callerState(who) : undefined;
    const inputs = [
      accessLog,
      detectionTimeoutMs,
      addresses.map(listenerName).join(' '),
      names.join(' '),
      unknown.bytes,
      mark,
    ];
    units.make('listeners', name, [...inputs, ...captured], () => {
      const rest = [...(mark === undefined ? [] : [markCaller(mark)]), passBytes(unknown.bytes, accessLog)];
      return outboundCaptureListener({ name, addresses, captured, names, rest, accessLog, detectionTimeoutMs });
    });
  }

  /** Where a caller's calls go that are nobody's. What the mesh only observes goes where it was going. */
  #unknown(
    of: Outbound,
    caller: Caller,
  ): { readonly requests: UnknownHosts; readonly bytes: string; readonly marked: boolean } {
    const { units, mesh, host } = of;
    const passed = { requests: { cluster: PASSTHROUGH_CLUSTER }, bytes: PASSTHROUGH_CLUSTER, marked: false };
    if (!isMeshed(caller)) return passed;
    const who = callerCalling(host, caller);
    const { mode, egressProxy } = outboundPolicy(mesh, who);
    if (egressProxy !== undefined) {
      const view = this.#called.view(of, who);
      const destination = view.destination(egressProxy, egressProxy.port ?? 0);
      this.#called.need(view, [destination], who);
      const { cluster } = destination;
      return { requests: { cluster }, bytes: cluster, marked: true };
    }
    if (mode === 'REGISTRY_ONLY') return { requests: 'refused', bytes: BLACK_HOLE_CLUSTER, marked: false };
    if (mode === 'ALLOW_ANY') return passed;
    const refreshMs = dnsRefreshMs(mesh.config);
    units.make('clusters', DYNAMIC_DNS_CLUSTER, [refreshMs], () => dynamicDnsPassthrough(refreshMs));
    return { ...passed, requests: { cluster: DYNAMIC_DNS_CLUSTER } };
  }

  /** What a caller finds by address, Host or server name. */
  #beyond(of: Outbound, caller: Caller, names: readonly string[], unknown: UnknownHosts): readonly CapturedChains[] {
    const who = callerCalling(of.host, caller);
    const view = this.#called.view(of, who);
    return this.#egress.make({
      units: of.units,
      mesh: of.mesh,
      caller,
      view,
      mark: of.calling.apart ? callerState(who) : undefined,
      names,
      named: new Set((of.host.namedUpstreams ?? []).map(({ serviceHost }) => serviceHost)),
      unknown,
      part: (key, host, make) => this.#part(of, `egress ${caller.capturePort} ${key}`, host, make),
      add: (target) => this.#called.needWhole(view, target, who),
      need: (destinations) => this.#called.need(view, destinations, who),
      calls: ({ service, port }) => this.#called.calls(of, service.host, { kind: 'known', service, port }, who),
      chains: (name, destination, inputs, make) => this.#capturedChains(of, caller, name, destination, inputs, make),
    });
  }

  /** What a caller's listener does with connections to services by name: the first service of an address holds. */
  #captured(of: Outbound, caller: Caller): readonly CapturedChains[] {
    const taken = new Set<string>();
    return (of.host.namedUpstreams ?? []).flatMap((upstream, i) => {
      const addresses = upstream.addresses.filter((address) => !taken.has(address));
      for (const address of addresses) taken.add(address);
      const [first] = addresses;
      if (first === undefined) return [];
      const chains = (): readonly CapturedChains[] =>
        portsOf(of, upstream).flatMap((target) => {
          const destination = { port: target.port.number, addresses };
          const name = listenerName({ address: first, port: destination.port });
          if (!isMeshed(caller)) {
            const observed = this.#called.observed(of, target, name);
            return this.#capturedChains(of, caller, name, destination, Object.values(observed), () =>
              observeChains(observed),
            );
          }
          const who = callerCalling(of.host, caller);
          if (!this.#called.isInScope(of, target, who)) return [];
          const calls = this.#called.calls(of, upstream.serviceHost, target, who);
          return this.#capturedCalls(of, caller, name, destination, calls);
        });
      return this.#part(of, `captured ${caller.capturePort} ${i}`, upstream.serviceHost, chains);
    });
  }

  /** The chains of calls to one destination, part by part where routes tell its addresses apart. */
  #capturedCalls(
    of: Outbound,
    caller: Caller,
    name: string,
    { port, addresses }: Destination,
    calls: OutboundCalls,
  ): readonly CapturedChains[] {
    return connectionParts(addresses, calls.routes).flatMap(({ addresses: some, routes }, i) => {
      const part = i === 0 ? name : `${name}-${some.join('-')}`;
      const inputs = [...callInputs(calls), i];
      return this.#capturedChains(of, caller, part, { port, addresses: some }, inputs, () =>
        outboundChains(calls, `outbound_${name}`, routes),
      );
    });
  }

  #capturedChains(
    of: Outbound,
    caller: Caller,
    name: string,
    destination: Destination,
    inputs: readonly unknown[],
    chains: () => ListenerChains,
  ): readonly CapturedChains[] {
    const key = `${name} of captured port ${caller.capturePort}`;
    const made = of.units.lastGood(
      `calls to ${key}`,
      () =>
        this.#chains.get(key, [...destination.addresses, ...inputs], () => capturedChains(name, destination, chains())),
      () => this.#chains.keep(key),
    );
    return made === undefined ? [] : [made];
  }
}
