/**
 * What of the fleet's configuration counts on this host beyond its own namespace. A namespace is also followed because
 * something in it is called; whoever publishes there may say how it is called, and nothing of calls to others.
 */
import type { ClientTls, DestinationRule, TrafficPolicy } from '../model/destination-rule.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { canonicalHost, serviceOfHost } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { describeObject } from '../model/resource-meta.ts';
import { MESH_GATEWAY, type VirtualService } from '../model/virtual-service.ts';
import { isSocketAddress } from '../sources/field-types.ts';
import type { ServiceEntry } from '../sources/kinds/service-entry.ts';
import type { WorkloadEntry } from '../sources/kinds/workload-entry.ts';
import { publishedRecords } from '../sources/published-records.ts';
import type { ResourceSet } from '../sources/resource-set.ts';

/** Whose word counts here whatever it speaks of: the host's own namespaces, the root's, those that agent.yaml names. */
export type TrustedNamespaces = ReadonlySet<string>;

/** Whether all hosts of an entry are names of its own namespace, and none of it is a socket of whoever calls. */
function isOfItsOwn({ meta: { namespace }, hosts, endpoints }: ServiceEntry, config: MeshConfig): boolean {
  return (
    hosts.every((host) => serviceOfHost(config, canonicalHost(config, host, namespace))?.namespace === namespace) &&
    !endpoints.some(({ address }) => isSocketAddress(address))
  );
}

function withoutKey(tls: ClientTls): ClientTls {
  const { clientCertificate: _, privateKey: __, ...rest } = tls;
  return { ...rest, mode: 'SIMPLE' };
}

function showsKey(policy: { readonly tls?: ClientTls } | undefined): boolean {
  return policy?.tls?.mode === 'MUTUAL';
}

function policyWithoutKey(policy: TrafficPolicy | undefined): TrafficPolicy | undefined {
  if (policy === undefined) return undefined;
  const { tls, portLevelSettings } = policy;
  return {
    ...policy,
    ...(tls !== undefined && showsKey(policy) && { tls: withoutKey(tls) }),
    portLevelSettings: portLevelSettings.map((port) =>
      port.tls !== undefined && showsKey(port) ? { ...port, tls: withoutKey(port.tls) } : port,
    ),
  };
}

const KEYLESS = new WeakMap<DestinationRule, DestinationRule>();

/** The same rule with TLS that shows no certificate of this host. A server that asks for one refuses its callers. */
function keyless(rule: DestinationRule): DestinationRule {
  const policies = [rule.trafficPolicy, ...rule.subsets.map(({ trafficPolicy }) => trafficPolicy)];
  if (!policies.some((policy) => showsKey(policy) || policy?.portLevelSettings.some(showsKey) === true)) return rule;
  const known = KEYLESS.get(rule) ?? {
    ...rule,
    trafficPolicy: policyWithoutKey(rule.trafficPolicy),
    subsets: rule.subsets.map((subset) => ({ ...subset, trafficPolicy: policyWithoutKey(subset.trafficPolicy) })),
  };
  KEYLESS.set(rule, known);
  return known;
}

function keyNotShown({ meta }: DestinationRule): Diagnostic {
  return {
    code: 'TRY0713',
    severity: 'warning',
    object: describeObject(meta),
    source: meta.source,
    message: `TLS of mode MUTUAL shows no certificate here: who publishes in ${meta.namespace} has no say about this host's keys`,
    remedy: `Publish the rule in the callers' namespace, or name "${meta.namespace}" in mesh.fleet.namespaces of agent.yaml.`,
  };
}

/** Whether a host of a rule names services of the rule's own namespace: one of them, or all by `*.shop.mesh`. */
function isOwnName(host: string, namespace: string, config: MeshConfig): boolean {
  const one = canonicalHost(config, host.replace(/^\*(?=\.)/, 'any'), namespace);
  return serviceOfHost(config, one)?.namespace === namespace;
}

const OF_ITS_OWN = new WeakMap<VirtualService, { readonly config: MeshConfig; readonly rule: VirtualService }>();

/**
 * The rule as far as it speaks of calls within the mesh to services of its own namespace, which is all that can count here;
 * undefined where it does not. A delegate speaks by the word of the rule that delegates to it.
 */
function ofItsOwn(rule: VirtualService, config: MeshConfig): VirtualService | undefined {
  const { gateways = [MESH_GATEWAY], meta } = rule;
  if (rule.hosts.length === 0) return rule;
  const hosts = rule.hosts.filter((host) => isOwnName(host, meta.namespace, config));
  if (hosts.length === 0 || !gateways.includes(MESH_GATEWAY)) return undefined;
  if (hosts.length === rule.hosts.length && gateways.length === 1) return rule;
  const before = OF_ITS_OWN.get(rule);
  if (before?.config === config) return before.rule;
  const known = { config, rule: { ...rule, hosts, gateways: [MESH_GATEWAY] } };
  OF_ITS_OWN.set(rule, known);
  return known.rule;
}

function sharing<T>(before: readonly T[], after: readonly T[]): readonly T[] {
  return before.length === after.length && before.every((one, i) => one === after[i]) ? before : after;
}

/**
 * The published resources that count. Of namespaces that are not trusted these do not: ServiceEntries for names that are not
 * theirs or for sockets, Gateways, VirtualServices at gateways or of services that are not theirs, certificates of this host
 * that DestinationRules name. Of no namespace but the root's do Service records for names in Consul that are not theirs,
 * trusted or not: all hosts must agree whose a name is. What counts is judged call by call. Lists from which nothing goes
 * stay the same array.
 */
export function trustedResources(resources: ResourceSet, trusted: TrustedNamespaces, config: MeshConfig): ResourceSet {
  const isTrusted = ({ meta }: { readonly meta: { readonly namespace: string } }): boolean =>
    trusted.has(meta.namespace);
  const isOwnSocket = ({ workload }: WorkloadEntry): boolean => isSocketAddress(workload.address);
  const { serviceEntries, workloadEntries, gateways, virtualServices, destinationRules, diagnostics } = resources;
  const entries = serviceEntries.filter((entry) => isTrusted(entry) || isOfItsOwn(entry, config));
  const rules = virtualServices.flatMap((rule) => (isTrusted(rule) ? rule : (ofItsOwn(rule, config) ?? [])));
  const policies = destinationRules.map((rule) => (isTrusted(rule) ? rule : keyless(rule)));
  const changed = destinationRules.filter((rule, i) => rule !== policies[i]);
  const services = publishedRecords(resources.serviceRecords, config);
  const said = [...changed.map(keyNotShown), ...services.diagnostics];
  return {
    ...resources,
    serviceEntries: sharing(serviceEntries, entries),
    workloadEntries: sharing(
      workloadEntries,
      workloadEntries.filter((entry) => isTrusted(entry) || !isOwnSocket(entry)),
    ),
    gateways: sharing(gateways, gateways.filter(isTrusted)),
    virtualServices: sharing(virtualServices, rules),
    destinationRules: sharing(destinationRules, policies),
    serviceRecords: services.records,
    diagnostics: said.length === 0 ? diagnostics : [...diagnostics, ...said],
  };
}
