/**
 * The mesh as calls of one client see it: which rules speak for which service, and what the clusters and route
 * configurations are called that follow them. Memoised on the mesh's parts.
 */
import type { ConsistentHash, DestinationRule, Subset } from '../../model/destination-rule.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';
import type { Service, ServicePort } from '../../model/service.ts';
import type { Sidecar } from '../../model/sidecar.ts';
import { MESH_GATEWAY, type VirtualService } from '../../model/virtual-service.ts';
import { consistentHash } from '../clusters/load-balancing.ts';
import {
  chooseRules,
  type EffectivePolicy,
  effectivePolicy,
  joinRules,
  type ServicePolicy,
} from '../clusters/traffic-policy.ts';
import { connectionRules, type ViewedConnections, viewedConnections } from '../connections/viewed-connections.ts';
import { asGatewayAsks, asGatewayCalls } from '../gateway/gateway-service.ts';
import { type HttpRoutesSpec, hasHttpRoutes, httpDestinations } from '../http/http-routes.ts';
import { Memo } from '../memo.ts';
import { ofClient, outboundClusterName, routeConfigName } from '../names.ts';
import type { Client } from './calling.ts';
import { asksForClientLabels } from './client-labels.ts';
import { type ResolvedDestination, resolveDestination, type Target } from './destination.ts';
import { type Scope, scopeOf, sidecarOf } from './scope.ts';
import { chooseVirtualService, hasAuthority } from './virtual-service-choice.ts';
import { isVisible } from './visibility.ts';

/** The routes of a VirtualService for the client's requests to one port, with all that they lead to. */
export interface ViewedRoutes {
  readonly spec: HttpRoutesSpec;
  readonly destinations: readonly ResolvedDestination[];
}

function sameRules(a: readonly DestinationRule[], b: readonly DestinationRule[]): boolean {
  return a.length === b.length && a.every((rule, i) => rule === b[i]);
}

export class MeshView {
  readonly #rules = new Memo<readonly DestinationRule[]>();
  readonly #joined = new Memo<ServicePolicy>();
  readonly #blocks = new Memo<EffectivePolicy>();
  readonly #virtualServices = new Memo<VirtualService | undefined>();
  readonly #routes = new Memo<ViewedRoutes>();
  readonly #scopes = new Memo<Scope>();
  readonly #connections = new Memo<ViewedConnections>();
  #mesh: Mesh | undefined;
  #scope: Scope | undefined;
  #home: MeshView | undefined;
  readonly #client: Client;
  readonly #key: string;

  /**
   * @param client whose calls they are
   * @param key its `clientKey`
   */
  constructor(client: Client, key: string) {
    this.#client = client;
    this.#key = key;
  }

  get client(): Client {
    return this.#client;
  }

  /**
   * Looks at `mesh` from now on.
   * @param home the view whose resources bear Istio's names, if it is another
   */
  look(mesh: Mesh, home: MeshView | undefined): void {
    this.#mesh = mesh;
    this.#home = home;
    const { virtualServices } = mesh;
    const sidecar = sidecarOf(mesh, this.#client);
    this.#scope = this.#scopes.get('', [sidecar, sidecar?.egress === undefined ? undefined : virtualServices], () =>
      scopeOf(sidecar, virtualServices, this.#client),
    );
  }

  /** The client's Sidecar, if it has one. */
  get sidecar(): Sidecar | undefined {
    return this.#scope?.sidecar;
  }

  /** Whether calls to a port of the service are the mesh's for this client: Sidecar and `exportTo` may keep it out. */
  calls(service: Service, port: number): boolean {
    return this.#scope?.calls(service, port) ?? true;
  }

  /** Ends a translation: what nobody asked for is forgotten. */
  sweep(): void {
    for (const memo of [this.#rules, this.#joined, this.#blocks, this.#virtualServices, this.#routes, this.#scopes])
      memo.sweep();
    this.#connections.sweep();
  }

  /** A service to which routes of this client may lead. */
  service(host: string): Service | undefined {
    const service = this.#mesh?.services.get(host);
    if (service === undefined || this.#scope?.reaches(service) === false) return undefined;
    return this.#client.gateway === true ? asGatewayCalls(service) : service;
  }

  #chosen(service: Service): readonly DestinationRule[] {
    const rules = this.#mesh?.destinationRules ?? [];
    const config = this.#mesh?.config;
    return this.#rules.get(service.host, [rules, service, config], () => {
      const { namespace, labels } = this.#client;
      const defaultExportTo = config?.defaultDestinationRuleExportTo;
      return chooseRules(rules, service, {
        namespace,
        labels,
        rootNamespace: config?.rootNamespace ?? '',
        ...(defaultExportTo !== undefined && { defaultExportTo }),
      });
    });
  }

  /** The DestinationRules that speak for a service to this client. */
  rules(service: Service): readonly DestinationRule[] {
    return this.#chosen(service);
  }

  #policy(service: Service): ServicePolicy {
    const chosen = this.#chosen(service);
    return this.#joined.get(service.host, chosen, () => joinRules(chosen));
  }

  /** The name of a resource that is this client's alone, such as `80~payments`; Istio's for the home client. */
  ownName(name: string): string {
    return this.#home === undefined ? name : ofClient(name, this.#key);
  }

  /** The cluster of a target. Clients share one as long as the same rules hold for them. */
  clusterName({ service, port, subset }: Target): string {
    const name = outboundClusterName(port.number, subset, service.host);
    // What a gateway takes for HTTP is another cluster than that of callers whose bytes decide.
    if (this.#home !== undefined && this.#mesh?.services.get(service.host) !== service) return this.ownName(name);
    if (this.#home !== undefined && this.#differsAtGateways({ service, port, subset })) return this.ownName(name);
    const home = this.#home;
    return home === undefined ||
      (sameRules(this.#chosen(service), home.#chosen(service)) &&
        (home.#client.labels === this.#client.labels || !this.#goesByLabels({ service, port, subset })))
      ? name
      : this.ownName(name);
  }

  /** Whether a rule means something else at a gateway than where workloads call. */
  #differsAtGateways({ service, port, subset }: Target): boolean {
    if (this.#client.gateway !== true) return false;
    const policy = effectivePolicy(this.#policy(service), port.number, subset, this.#mesh?.config.defaultTrafficPolicy);
    return asGatewayAsks(service, policy) !== policy;
  }

  #goesByLabels(target: Target): boolean {
    const ofMesh = this.#mesh?.config.localityLbSetting;
    return asksForClientLabels(this.blocks(target).loadBalancer?.locality ?? ofMesh);
  }

  routeConfigName(host: string, port: number): string {
    return this.ownName(routeConfigName(host, port));
  }

  /** Of the rule that holds for calls of the service. */
  subsetNames(service: Service): readonly string[] {
    return [...this.#policy(service).subsets.keys()];
  }

  subset(service: Service, name: string): Subset | undefined {
    return this.#policy(service).subsets.get(name);
  }

  /** The rule that the service's clusters follow, the oldest of several. */
  rule(service: Service): ResourceMeta | undefined {
    return this.#policy(service).rule;
  }

  /** The blocks in force for a target. */
  blocks({ service, port, subset }: Target): EffectivePolicy {
    const policy = this.#policy(service);
    const defaults = this.#mesh?.config.defaultTrafficPolicy;
    const key = outboundClusterName(port.number, subset, service.host);
    return this.#blocks.get(key, [policy, defaults, service.tls], () => {
      const written = effectivePolicy(policy, port.number, subset, defaults);
      return this.#client.gateway === true ? asGatewayAsks(service, written) : written;
    });
  }

  #hears({ meta }: VirtualService, service: string | undefined): boolean {
    return hasAuthority(meta, { client: this.#client.namespace, service, root: this.#mesh?.config.rootNamespace });
  }

  /** The VirtualService that decides about HTTP requests to a port of a service, or of a name that is none. */
  virtualService(
    service: Pick<Service, 'host' | 'aliases'> & Partial<Pick<Service, 'namespace'>>,
    port: number,
  ): VirtualService | undefined {
    const all = this.#mesh?.virtualServices ?? [];
    const client = this.#client;
    const scope = this.#scope;
    const inputs = [all, service, scope, this.#mesh?.config.rootNamespace];
    return this.#virtualServices.get(routeConfigName(service.host, port), inputs, () =>
      chooseVirtualService(
        all,
        service,
        client.namespace,
        (virtualService) =>
          this.#hears(virtualService, service.namespace) &&
          (scope?.imports(virtualService, port) ?? true) &&
          hasHttpRoutes({ virtualService, gateway: MESH_GATEWAY, port, client }),
      ),
    );
  }

  /** A destination of requests to `calledPort`. */
  destination(
    destination: { readonly host: string; readonly subset: string | undefined; readonly port: number | undefined },
    calledPort: number,
  ): ResolvedDestination {
    return resolveDestination(destination, calledPort, {
      service: (host) => this.service(host),
      hasSubset: (service, subset) => this.subset(service, subset) !== undefined,
      cluster: (target) => this.clusterName(target),
      hash: (target): ConsistentHash | undefined => consistentHash(this.blocks(target).loadBalancer),
      policy: (target) => this.blocks(target),
    });
  }

  /** Where connections to a port of a service go by TLS and TCP routes, with all that these lead to. */
  connections(service: Service, port: ServicePort): ViewedConnections {
    const { virtualServices: all = [], services, destinationRules, config } = this.#mesh ?? {};
    const scope = this.#scope;
    const client = this.#client;
    const inputs = [all, service, port, services, destinationRules, config, this.#home, scope];
    return this.#connections.get(routeConfigName(service.host, port.number), inputs, () =>
      viewedConnections(
        connectionRules(all).filter(
          (one) =>
            isVisible(one.exportTo, one.meta.namespace, client.namespace) &&
            this.#hears(one, service.namespace) &&
            (scope?.imports(one, port.number) ?? true),
        ),
        service,
        port,
        { client, resolve: (destination) => this.destination(destination, port.number) },
      ),
    );
  }

  /** What `virtualService` makes of requests to `port`, remembered as `key`. */
  routes(virtualService: VirtualService, port: number, key: string): ViewedRoutes {
    const { services, destinationRules, config } = this.#mesh ?? {};
    const inputs = [virtualService, port, services, destinationRules, config, this.#home, this.#scope];
    return this.#routes.get(key, inputs, () => {
      const spec: HttpRoutesSpec = {
        virtualService,
        gateway: MESH_GATEWAY,
        port,
        client: this.#client,
        resolve: (destination) => this.destination(destination, port),
        defaultRetries: config?.defaultHttpRetryPolicy,
      };
      return { spec, destinations: httpDestinations(spec) };
    });
  }
}
