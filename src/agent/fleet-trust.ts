/**
 * What of the fleet's configuration counts on this host beyond its own namespace. A namespace is also followed because
 * something in it is called; whoever publishes there may say how it is called, and nothing of calls to others.
 */
import { canonicalHost, serviceOfHost } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { MESH_GATEWAY, type VirtualService } from '../model/virtual-service.ts';
import type { ServiceEntry } from '../sources/kinds/service-entry.ts';
import type { ResourceSet } from '../sources/resource-set.ts';

/** Whose word counts here whatever it speaks of: the host's own namespaces, the root's, those that agent.yaml names. */
export type TrustedNamespaces = ReadonlySet<string>;

/** Whether all hosts of an entry are names of its own namespace. */
function isOfItsOwn({ meta: { namespace }, hosts }: ServiceEntry, config: MeshConfig): boolean {
  return hosts.every((host) => serviceOfHost(config, canonicalHost(config, host, namespace))?.namespace === namespace);
}

const FOR_MESH = new WeakMap<VirtualService, VirtualService>();

/** The same rule without its gateways; undefined where it is for those alone. */
function forMesh(rule: VirtualService): VirtualService | undefined {
  const { gateways } = rule;
  if (gateways === undefined || (gateways.length === 1 && gateways[0] === MESH_GATEWAY)) return rule;
  if (!gateways.includes(MESH_GATEWAY)) return undefined;
  const known = FOR_MESH.get(rule) ?? { ...rule, gateways: [MESH_GATEWAY] };
  FOR_MESH.set(rule, known);
  return known;
}

/**
 * The published resources that count: of namespaces that are not trusted no ServiceEntry for names that are not theirs, no
 * Gateway, and no VirtualService at gateways. VirtualServices for calls within the mesh and DestinationRules are judged call
 * by call. Lists from which nothing goes stay the same array.
 */
export function trustedResources(resources: ResourceSet, trusted: TrustedNamespaces, config: MeshConfig): ResourceSet {
  const isTrusted = ({ meta }: { readonly meta: { readonly namespace: string } }): boolean =>
    trusted.has(meta.namespace);
  const { serviceEntries, gateways, virtualServices } = resources;
  const entries = serviceEntries.filter((entry) => isTrusted(entry) || isOfItsOwn(entry, config));
  const served = gateways.filter(isTrusted);
  const rules = virtualServices.flatMap((rule) => (isTrusted(rule) ? rule : (forMesh(rule) ?? [])));
  const same = <T>(before: readonly T[], after: readonly T[]): readonly T[] =>
    before.length === after.length && before.every((one, i) => one === after[i]) ? before : after;
  return {
    ...resources,
    serviceEntries: same(serviceEntries, entries),
    gateways: same(gateways, served),
    virtualServices: same(virtualServices, rules),
  };
}
