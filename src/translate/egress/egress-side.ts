/**
 * Captured calls beyond this host's own names: services that configuration describes, found by address, Host or server
 * name, and what becomes of calls to all others.
 */

import { dynamicDnsOf } from '../clusters/dynamic-dns.ts';
import { NO_BLOCKS } from '../clusters/traffic-policy.ts';
import { ADS } from '../config-source.ts';
import { connectionChains } from '../connections/connection-chains.ts';
import { connectionParts } from '../connections/connection-parts.ts';
import type { ConnectionRoute } from '../connections/tcp-routes.ts';
import { grpcWebFilters } from '../http/grpc-web-filter.ts';
import type { HttpFilter } from '../http/http-filters.ts';
import { ipRange, rangeKey } from '../ip-range.ts';
import { accessLogOf } from '../listeners/access-log.ts';
import { type FilterChain, PLAIN_HTTP1, PLAIN_HTTP2 } from '../listeners/listener.ts';
import { httpConnectionManager, markCaller } from '../listeners/network-filters.ts';
import { listenerName } from '../names.ts';
import type { CapturedChains } from '../outbound/captured-chains.ts';
import { bytesFilters, callInputs, type OutboundCalls, outboundChains } from '../outbound/outbound-listener.ts';
import type { ResourceUnits } from '../resource-units.ts';
import type { Target } from '../view/destination.ts';
import { type EgressPort, egressPorts } from './egress-ports.ts';
import { type Egress, EgressRoutes, HTTP_PORT } from './egress-routes.ts';

/** A port and a range of one listener, which Envoy takes once. */
function place(port: number, address: string | undefined): string {
  const range = address === undefined ? undefined : ipRange(address);
  return `${port} ${range === undefined ? 'any' : rangeKey(range)}`;
}

/** The port of names that only VirtualServices know, where no service has it. */
const OTHERS: EgressPort = { port: HTTP_PORT, addressed: [], http: [], tls: [], rest: [] };

export class EgressSide {
  readonly #routes = new EgressRoutes();

  /** Begins a translation of everything. */
  begin(): void {
    this.#routes.begin();
  }

  /** Begins a translation with all that was made before: has what many services share looked at again. */
  resume(units: ResourceUnits): void {
    this.#routes.resume(units);
  }

  /** Ends a translation of everything: what nobody asked for is forgotten. */
  sweep(): void {
    this.#routes.sweep();
  }

  /** The chains of all services that the caller finds by what it calls, first what counts first. */
  make(of: Egress): readonly CapturedChains[] {
    const { mesh, view, names } = of;
    const own = new Set(names.map((address) => place(0, address)));
    const taken = new Set<string>();
    const free = (port: number, addresses: readonly string[]): readonly string[] =>
      addresses.filter((address) => {
        const key = place(port, address);
        if (taken.has(key) || own.has(place(0, address))) return false;
        taken.add(key);
        return true;
      });
    const called = egressPorts(mesh.services.values(), of.named, (service, { number }) => view.calls(service, number));
    const others = called.some(({ port }) => port === HTTP_PORT) || !this.#routes.hasOthers(of) ? [] : [OTHERS];
    return [...called, ...others].flatMap((port) => {
      // Who connects there is not captured.
      if (port.port === of.caller.capturePort) return [];
      const addressed = port.addressed.flatMap(({ addresses, ...target }) => {
        const { host } = target.service;
        const calls = of.part(`${port.port} address ${host}`, host, () => of.calls(target));
        return connectionParts(addresses, calls.routes).flatMap((part) => {
          const [first, ...others] = free(port.port, part.addresses);
          if (first === undefined) return [];
          const destination = { port: port.port, addresses: [first, ...others] };
          const name = listenerName({ address: first, port: port.port });
          return of.chains(name, destination, callInputs(calls), () =>
            outboundChains(calls, `outbound_${name}`, part.routes),
          );
        });
      });
      return [...addressed, ...this.#shared(of, port, (addresses) => free(port.port, addresses))];
    });
  }

  /** The chains of connections to a port, wherever they go. */
  #shared(
    of: Egress,
    port: EgressPort,
    free: (addresses: readonly string[]) => readonly string[],
  ): readonly CapturedChains[] {
    const { view, mesh, mark } = of;
    const asked = port.http.length > 0 || (port.port === HTTP_PORT && this.#routes.hasOthers(of));
    const routeConfig = asked ? this.#routes.make(of, port) : undefined;
    const [first] = port.rest;
    const routes: ConnectionRoute[] = [];
    for (const target of [...port.tls, ...(first === undefined ? [] : [first])]) {
      const { host } = target.service;
      routes.push(
        ...of.part(`${port.port} ${target === first ? 'all bytes' : 'bytes'} ${host}`, host, () =>
          this.#connections(of, target, target === first),
        ),
      );
    }
    if (routeConfig === undefined && routes.length === 0 && first === undefined) return [];
    const dynamicDnsMs = dynamicDnsOf(mesh);
    const { pathNormalization } = mesh.config;
    const accessLog = accessLogOf(mesh.config);
    const rest = first === undefined ? undefined : view.clusterName(first);
    const webFilters = grpcWebFilters(port.http.map((target) => target.port.protocol));
    const common = { caller: mark, dynamicDnsMs, pathNormalization, accessLog };
    const policy = first === undefined ? NO_BLOCKS : view.blocks(first);
    return connectionParts([], routes).flatMap((part, i) => {
      const addresses = part.addresses.length === 0 ? [] : free(part.addresses);
      if (part.addresses.length > 0 && addresses.length === 0) return [];
      const name = listenerName({ address: addresses[0] ?? '0.0.0.0', port: port.port });
      const key = part.routes.flatMap(({ serverNames, destinations }) => [
        serverNames.join(' '),
        ...destinations.flatMap(({ cluster, weight, policy: own, target }) => [
          cluster,
          weight,
          own,
          target?.service,
          target?.port,
        ]),
      ]);
      const inputs = [
        i,
        routeConfig,
        webFilters.length,
        rest,
        policy,
        mark,
        dynamicDnsMs,
        pathNormalization,
        accessLog,
        ...key,
      ];
      return of.chains(name, { port: port.port, addresses }, inputs, () => {
        const bytes = connectionChains(
          part.routes,
          (destinations) => bytesFilters({ ...common, policy: NO_BLOCKS }, destinations),
          rest === undefined ? undefined : bytesFilters({ ...common, policy }, rest),
        );
        const requests =
          routeConfig === undefined
            ? []
            : [requestsChain(routeConfig, `outbound_0.0.0.0_${port.port}`, webFilters, common)];
        return {
          ...bytes,
          filterChains: [...requests, ...bytes.filterChains],
          inspect: { tls: bytes.inspect.tls || requests.length > 0, http: requests.length > 0 },
        };
      });
    });
  }

  /** Where connections to a target go by rules, and, unless it takes what is left, those by its own names. */
  #connections(of: Egress, target: Target, takesRest: boolean): readonly ConnectionRoute[] {
    of.add(target);
    const { service } = target;
    const { routes, destinations } = of.view.connections(service, target.port);
    of.need(destinations);
    return takesRest || service.resolution === 'DYNAMIC_DNS' ? routes : [...routes, this.#ownRoute(of, target)];
  }

  /** TLS of a service that no rule speaks of: its own server names. */
  #ownRoute(of: Egress, { service, port }: Target): ConnectionRoute {
    const { view } = of;
    const direct = view.destination({ host: service.host, subset: undefined, port: port.number }, port.number);
    return {
      serverNames: this.#routes.namesOf(of, service).filter((name) => name.includes('.')),
      destinationSubnets: [],
      destinations: [{ ...direct, weight: 1 }],
    };
  }
}

function requestsChain(
  routeConfig: string,
  statPrefix: string,
  httpFilters: readonly HttpFilter[],
  common: Pick<OutboundCalls, 'caller' | 'dynamicDnsMs' | 'pathNormalization' | 'accessLog'>,
): FilterChain {
  const { caller, dynamicDnsMs, pathNormalization, accessLog } = common;
  return {
    name: 'http',
    filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: [...PLAIN_HTTP1, ...PLAIN_HTTP2] },
    filters: [
      ...(caller === undefined ? [] : [markCaller(caller)]),
      httpConnectionManager({
        statPrefix,
        routes: { case: 'rds', value: { configSource: ADS, routeConfigName: routeConfig } },
        from: 'outbound',
        httpFilters,
        dynamicDnsMs,
        pathNormalization,
        accessLog,
      }),
    ],
  };
}
