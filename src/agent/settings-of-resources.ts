/**
 * What resources of the mesh say of this host itself: WorkloadGroups of its services, ProxyConfigs of its Envoy.
 * agent.yaml has the last word.
 */
import { availableParallelism } from 'node:os';
import type { Diagnostic } from '../model/diagnostic.ts';
import { hasLabels, labelsOfInstance } from '../model/labels.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { ProxyConfig } from '../model/proxy-config.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { WorkloadGroup, WorkloadProbe } from '../model/workload-group.ts';
import type { ResourceSet } from '../sources/resource-set.ts';
import type { AgentSettings, CheckSettings, ServiceSettings } from './settings.ts';

/** The resources that speak of hosts. */
export type HostResources = Pick<ResourceSet, 'workloadGroups' | 'proxyConfigs'>;

export interface CompletedSettings {
  readonly settings: AgentSettings;
  readonly diagnostics: readonly Diagnostic[];
}

function checkOf({ check, periodMs, timeoutMs, successThreshold, failureThreshold }: WorkloadProbe): CheckSettings {
  return {
    ...check,
    intervalMs: periodMs,
    timeoutMs,
    successesBeforePassing: successThreshold,
    failuresBeforeCritical: failureThreshold,
  };
}

/** A check that nobody asked for. */
function isDefault({ check }: ServiceSettings): boolean {
  return check === undefined || (check.kind === 'tcp' && check.port === undefined);
}

function withGroup(service: ServiceSettings, group: WorkloadGroup): ServiceSettings {
  const labels = { ...group.labels, ...service.labels };
  const { passing, warning } = service.weights;
  return {
    ...service,
    labels,
    version: service.version ?? labels['version'],
    weights:
      group.weight !== undefined && passing === 1 && warning === 1
        ? { passing: group.weight, warning: 1 }
        : service.weights,
    check:
      group.probe !== undefined && service.inbound !== undefined && isDefault(service)
        ? checkOf(group.probe)
        : service.check,
  };
}

function ofGroup(
  service: ServiceSettings,
  groups: readonly WorkloadGroup[],
  diagnostics: Diagnostic[],
): ServiceSettings {
  const { workloadGroup: name, namespace } = service;
  if (name === undefined) return service;
  const group = groups.find(({ meta }) => meta.name === name && meta.namespace === namespace);
  const object = `service ${namespace}/${service.name}`;
  if (group === undefined) {
    diagnostics.push({
      code: 'IST0101',
      severity: 'warning',
      object,
      message: `there is no WorkloadGroup ${namespace}/${name}; what it would say is as agent.yaml and the defaults say`,
      remedy: 'Apply it, or correct "workloadGroup" of the service.',
    });
    return service;
  }
  if (group.serviceAccount !== undefined && group.serviceAccount !== service.serviceAccount)
    diagnostics.push({
      code: 'TRY0112',
      severity: 'warning',
      object,
      source: group.meta.source,
      message: `its account is ${service.serviceAccount}, and ${describeObject(group.meta)} says ${group.serviceAccount}; agent.yaml holds`,
      remedy: 'Set "serviceAccount" of the service in agent.yaml, and let the CA entitle the host to it.',
    });
  return withGroup(service, group);
}

/** The nearest that speaks of a service: by selector, of its namespace, of the root namespace; the oldest of each. */
function proxyConfigOf(
  { namespace, labels }: Pick<ServiceSettings, 'namespace' | 'labels'>,
  configs: readonly ProxyConfig[],
  rootNamespace: string,
): ProxyConfig | undefined {
  const said = configs.filter(({ concurrency }) => concurrency !== undefined);
  const own = said.filter(({ meta }) => meta.namespace === namespace);
  return (
    own.find(({ selector }) => selector !== undefined && hasLabels(labels, selector)) ??
    own.find(({ selector }) => selector === undefined) ??
    said.find(({ meta, selector }) => meta.namespace === rootNamespace && selector === undefined)
  );
}

/** Threads of Envoy: of several services the most. Undefined: nobody says. */
function concurrencyOf(
  services: readonly ServiceSettings[],
  { proxyConfigs }: HostResources,
  { rootNamespace, concurrency }: Pick<MeshConfig, 'rootNamespace' | 'concurrency'>,
): number | undefined {
  const own = services.map(({ namespace, name, labels }) => ({ namespace, labels: labelsOfInstance(name, labels) }));
  const workloads = own.length > 0 ? own : [{ namespace: rootNamespace, labels: {} }];
  const said = workloads.flatMap(
    (one) => proxyConfigOf(one, proxyConfigs, rootNamespace)?.concurrency ?? concurrency ?? [],
  );
  if (said.length === 0) return undefined;
  return said.includes(0) ? availableParallelism() : Math.max(...said);
}

/**
 * The settings with what resources say where agent.yaml says nothing.
 * @param written agent.yaml alone
 */
export function settingsOfResources(
  written: AgentSettings,
  resources: HostResources,
  config: Pick<MeshConfig, 'rootNamespace' | 'concurrency'>,
): CompletedSettings {
  const diagnostics: Diagnostic[] = [];
  const services = written.services.map((service) => ofGroup(service, resources.workloadGroups, diagnostics));
  const concurrency = written.envoy.concurrencyGiven ? undefined : concurrencyOf(services, resources, config);
  return {
    settings: {
      ...written,
      services,
      envoy: concurrency === undefined ? written.envoy : { ...written.envoy, concurrency },
    },
    diagnostics,
  };
}
