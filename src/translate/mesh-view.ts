/** The mesh as this host's calls see it: which rules speak for which service. Memoised on the mesh's parts. */
import type { ConsistentHash, DestinationRule, Subset, TrafficPolicyBlocks } from '../model/destination-rule.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Service } from '../model/service.ts';
import type { VirtualService } from '../model/virtual-service.ts';
import { type ResolvedDestination, resolveDestination, type Target } from './destination.ts';
import { consistentHash } from './load-balancing.ts';
import { Memo } from './memo.ts';
import { outboundClusterName } from './names.ts';
import { chooseRules, effectivePolicy, joinRules, type ServicePolicy } from './traffic-policy.ts';
import { chooseVirtualService } from './virtual-service-choice.ts';

export class MeshView {
  readonly #rules = new Memo<readonly DestinationRule[]>();
  readonly #joined = new Memo<ServicePolicy>();
  readonly #blocks = new Memo<TrafficPolicyBlocks>();
  readonly #virtualServices = new Memo<VirtualService | undefined>();
  readonly #destinations = new Memo<readonly (readonly ResolvedDestination[])[]>();
  #mesh: Mesh | undefined;
  #namespace = '';

  /** Looks at `mesh` from now on. @param namespace in whose name the host calls */
  look(mesh: Mesh, namespace: string): void {
    this.#mesh = mesh;
    this.#namespace = namespace;
  }

  /** Ends a translation: what nobody asked for is forgotten. */
  sweep(): void {
    for (const memo of [this.#rules, this.#joined, this.#blocks, this.#virtualServices, this.#destinations])
      memo.sweep();
  }

  service(host: string): Service | undefined {
    return this.#mesh?.services.get(host);
  }

  #policy(service: Service): ServicePolicy {
    const rules = this.#mesh?.destinationRules ?? [];
    const client = { namespace: this.#namespace, rootNamespace: this.#mesh?.config.rootNamespace ?? '' };
    const inputs = [rules, service, client.namespace, client.rootNamespace];
    const chosen = this.#rules.get(service.host, inputs, () => chooseRules(rules, service, client));
    return this.#joined.get(service.host, chosen, () => joinRules(chosen));
  }

  subset(service: Service, name: string): Subset | undefined {
    return this.#policy(service).subsets.get(name);
  }

  /** The blocks in force for a target. */
  blocks({ service, port, subset }: Target): TrafficPolicyBlocks {
    const policy = this.#policy(service);
    const key = outboundClusterName(port.number, subset, service.host);
    return this.#blocks.get(key, [policy], () => effectivePolicy(policy, port.number, subset));
  }

  virtualService(service: Service): VirtualService | undefined {
    const all = this.#mesh?.virtualServices ?? [];
    return this.#virtualServices.get(service.host, [all, service, this.#namespace], () =>
      chooseVirtualService(all, service, this.#namespace),
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
      hash: (target): ConsistentHash | undefined => consistentHash(this.blocks(target).loadBalancer),
    });
  }

  /** All destinations of a VirtualService, by route and position. */
  destinations(
    virtualService: VirtualService,
    calledPort: number,
    key: string,
  ): readonly (readonly ResolvedDestination[])[] {
    const { services, destinationRules, config } = this.#mesh ?? {};
    const inputs = [virtualService, calledPort, services, destinationRules, config, this.#namespace];
    return this.#destinations.get(key, inputs, () =>
      virtualService.http.map((route) =>
        route.destinations.map((destination) => this.destination(destination, calledPort)),
      ),
    );
  }
}
