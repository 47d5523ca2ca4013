/** All that this host does in the role of a gateway: a listener for each port, with routes, certificates and clusters. */
import { formatListen, type GatewayRole, type Host } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { GatewayRateLimit } from '../../model/rate-limit.ts';
import { callerState } from '../clusters/cluster-callers.ts';
import { dynamicDnsOf } from '../clusters/dynamic-dns.ts';
import type { OutboundClusters } from '../clusters/outbound-clusters.ts';
import { accessLogOf } from '../listeners/access-log.ts';
import { Memo } from '../memo.ts';
import { listenerName } from '../names.ts';
import { gatewayRateLimits } from '../rate-limit/gateway-rate-limits.ts';
import { type FleetShare, fleetShare } from '../rate-limit/rate-limit-bucket.ts';
import type { ResourceUnits } from '../resource-units.ts';
import { useCertificateFiles, useRootFiles } from '../tls/file-secrets.ts';
import { type Calling, gatewayCalling } from '../view/calling.ts';
import type { MeshView } from '../view/mesh-view.ts';
import { gatewayListener } from './gateway-chains.ts';
import { type GatewayContext, type PlannedRule, planPort } from './gateway-plan.ts';
import { gatewayRoutes } from './gateway-routes.ts';
import { type MergedServers, mergeServers } from './gateway-servers.ts';

export interface GatewaysSpec {
  readonly units: ResourceUnits;
  readonly mesh: Mesh;
  readonly host: Host;
  /** Whether the host has callers that must be told apart. */
  readonly apart: boolean;
  readonly clusters: OutboundClusters;
  readonly view: (calling: Calling) => MeshView;
}

/** A route configuration with limits that the live instances of the gateway share. */
interface SharedRoutes {
  readonly name: string;
  readonly role: GatewayRole;
  readonly make: (share: FleetShare | undefined) => void;
}

/** This host's part of them; undefined where the gateway is not registered: the whole. */
function shareOf(mesh: Mesh, host: Host, { serviceHost, registered }: GatewayRole): FleetShare | undefined {
  if (registered === undefined) return undefined;
  return fleetShare((host.fleet ?? mesh.endpoints).get(serviceHost) ?? [], { listen: registered });
}

export class GatewaySide {
  readonly #merged = new Memo<MergedServers>();
  /** Of each role, the same object: views are kept by it. */
  readonly #calling = new Memo<Calling>();

  readonly #planned = new Memo<PlannedRule | undefined>();
  readonly #rateLimits = new Memo<readonly GatewayRateLimit[]>();
  /** The routes whose limits depend on how many instances the gateway has. */
  #shared: SharedRoutes[] = [];
  /** Encoded virtual hosts, by the name of their route configuration. */
  #hosts = new Map<string, Memo<Uint8Array>>();

  /** The host is no gateway any more. */
  forget(): void {
    this.#hosts = new Map();
    this.#shared = [];
    for (const memo of [this.#merged, this.#planned, this.#calling, this.#rateLimits]) {
      memo.sweep();
      memo.sweep();
    }
  }

  /** Makes what the host's gateways need; to be called while clusters are being asked for. */
  translate(spec: GatewaysSpec): void {
    const before = this.#hosts;
    this.#hosts = new Map();
    this.#shared = [];
    for (const [i, role] of (spec.host.gateways ?? []).entries())
      this.#gateway(spec, role, i === 0 ? undefined : `${role.namespace}/${role.name}`, before);
    this.#merged.sweep();
    this.#planned.sweep();
    this.#calling.sweep();
    this.#rateLimits.sweep();
  }

  /** Makes what endpoints of these services change, of all that was made before: shares of limits. */
  translateEndpoints(units: ResourceUnits, mesh: Mesh, host: Host, services: readonly string[]): void {
    for (const { name, role, make } of this.#shared) {
      if (!services.includes(role.serviceHost)) continue;
      units.delete('routeConfigs', name);
      make(shareOf(mesh, host, role));
    }
  }

  #gateway(
    spec: GatewaysSpec,
    role: GatewayRole,
    suffix: string | undefined,
    before: ReadonlyMap<string, Memo<Uint8Array>>,
  ): void {
    const { units, mesh, host, apart, clusters } = spec;
    const key = `${role.namespace}/${role.name}`;
    const calling = this.#calling.get(key, [role], () => gatewayCalling(role));
    const view = spec.view(calling);
    const { rateLimits, gateways, config } = mesh;
    const of: GatewayContext = {
      mesh,
      host,
      role,
      calling,
      view,
      rateLimits: this.#rateLimits.get(key, [rateLimits, gateways, config, role], () => gatewayRateLimits(mesh, role)),
      suffix,
      planned: this.#planned,
      need: ({ target }) => {
        if (target !== undefined) clusters.add(view, target, calling);
      },
      needPlain: (target) => clusters.addPassed(view, target),
      secrets: ({ certificates, roots }) => ({
        certificates: certificates.map((files) => useCertificateFiles(units, files)),
        roots: roots === undefined ? undefined : useRootFiles(units, roots),
      }),
    };
    const { ports } = this.#merged.get(key, [mesh.gateways, role], () => mergeServers(mesh.gateways, role));
    const owner = { context: 'GATEWAY', workload: calling } as const;
    for (const port of ports) {
      if (role.taken?.includes(formatListen(port.listen)) === true) continue;
      const { chains, routes } = planPort(of, port);
      for (const { name, servers, limits, inputs } of routes) {
        units.own('routeConfigs', name, owner);
        const hosts = before.get(name) ?? new Memo<Uint8Array>();
        this.#hosts.set(name, hosts);
        const decided = [port, mesh.config, role, JSON.stringify(limits), ...inputs];
        const make = (share: FleetShare | undefined): void => {
          units.make('routeConfigs', name, [...decided, share?.weight, share?.total], () =>
            gatewayRoutes({ name, port: port.number, servers, limits, share }, hosts),
          );
        };
        const isShared = limits.some(({ limit, server }) => limit.scope === 'fleet' && server === undefined);
        if (isShared) this.#shared.push({ name, role, make });
        make(isShared ? shareOf(mesh, host, role) : undefined);
      }
      if (chains.length === 0) continue;
      const { gatewayTopology: topology } = config;
      const listener = {
        listen: port.listen,
        chains,
        inspectsTls: port.kind === 'tls',
        caller: apart ? callerState(calling) : undefined,
        dynamicDnsMs: dynamicDnsOf(mesh),
        accessLog: accessLogOf(mesh.config),
        pathNormalization: mesh.config.pathNormalization,
        trustedHops: role.trustedHops ?? topology?.trustedHops,
        proxyProtocol: role.proxyProtocol ?? topology?.proxyProtocol ?? false,
        forwardedCertificate: topology?.forwardedCertificate,
      };
      units.own('listeners', listenerName(port.listen), owner);
      units.make('listeners', listenerName(port.listen), [JSON.stringify(listener)], () => gatewayListener(listener));
    }
  }
}
