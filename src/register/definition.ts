/** A local instance → Consul's service definition: names, Meta and the two checks. */
import type { CheckDefinition, ServiceDefinition } from '../consul/agent-api.ts';
import { consulNameOf } from '../model/host-names.ts';
import { encodeLabelKey, META } from '../model/registration.ts';
import type { CheckSpec, CheckThresholds, LocalInstance } from './instance.ts';

/** Consul's limits of Meta. */
const MAX_PAIRS = 64;
const MAX_KEY = 128;
const MAX_VALUE = 512;
/** Consul refuses less. */
const MIN_DEREGISTER_MS = 60_000;
const PROXY_INTERVAL_MS = 2000;
/** Long: an Envoy that has to wait for its turn on a busy machine is not to be taken from its callers. A dead one refuses. */
const PROXY_TIMEOUT_MS = 5000;
/** Consul stores what its checks print, and every change of it wakes every watcher of the service. */
const QUIET = { OutputMaxSize: 1 };

/** What is sent to Consul, and what of the instance had to be left out. */
export interface Registration {
  readonly definition: ServiceDefinition;
  readonly applicationCheckId: string | undefined;
  readonly proxyCheckId: string | undefined;
  /** A sentence each. */
  readonly warnings: readonly string[];
}

const duration = (ms: number): string => `${Math.max(1, Math.round(ms))}ms`;

function metaOf(instance: LocalInstance, hostName: string, warnings: string[]): Readonly<Record<string, string>> {
  const { version: versionLabel, ...labels } = instance.labels;
  const version = instance.version ?? versionLabel;
  const pairs: [string, string | undefined][] = [
    [META.host, hostName],
    [META.tls, instance.offersMtls ? 'mtls' : undefined],
    [META.protocol, instance.protocol],
    [META.servicePort, instance.servicePort === undefined ? undefined : String(instance.servicePort)],
    [META.version, version],
    [META.locality, instance.locality],
    ...Object.entries(labels)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]): [string, string] => [encodeLabelKey(key), value]),
  ];
  const meta: Record<string, string> = {};
  for (const [key, value] of pairs) {
    if (value === undefined) continue;
    const full = Object.keys(meta).length >= MAX_PAIRS;
    if (full || key.length > MAX_KEY || value.length > MAX_VALUE)
      warnings.push(
        `Meta "${key.slice(0, MAX_KEY)}" is left out: Consul takes ${MAX_PAIRS} pairs, ${MAX_KEY} characters a key and ${MAX_VALUE} a value.`,
      );
    else meta[key] = value;
  }
  return meta;
}

/** How long after the agent's last report a command check turns critical: two rounds may be lost. */
function commandTtlMs(check: Extract<CheckSpec, { kind: 'command' }>): number {
  return 3 * check.intervalMs + check.timeoutMs;
}

function thresholds({
  successesBeforePassing = 1,
  failuresBeforeCritical = 1,
}: CheckThresholds): Partial<CheckDefinition> {
  return {
    ...(successesBeforePassing > 1 && { SuccessBeforePassing: successesBeforePassing }),
    ...(failuresBeforeCritical > 1 && { FailuresBeforeCritical: failuresBeforeCritical }),
  };
}

function checkFields(check: CheckSpec): Partial<CheckDefinition> {
  switch (check.kind) {
    case 'http':
      return {
        ...QUIET,
        HTTP: check.url,
        ...(check.headers !== undefined &&
          check.headers.length > 0 && {
            Header: Object.fromEntries(check.headers.map(({ name, value }) => [name, [value]])),
          }),
        // As a kubelet does: it is the answer that is asked for, of an application on this host.
        ...(check.url.startsWith('https:') && { TLSSkipVerify: true }),
        Interval: duration(check.intervalMs),
        Timeout: duration(check.timeoutMs),
        ...thresholds(check),
      };
    case 'tcp':
      return {
        ...QUIET,
        TCP: check.address,
        Interval: duration(check.intervalMs),
        Timeout: duration(check.timeoutMs),
        ...thresholds(check),
      };
    case 'grpc':
      return {
        ...QUIET,
        GRPC: check.service === '' ? check.address : `${check.address}/${check.service}`,
        Interval: duration(check.intervalMs),
        Timeout: duration(check.timeoutMs),
        ...thresholds(check),
      };
    case 'command':
      return { TTL: duration(commandTtlMs(check)), Notes: 'Made by the Trysail agent of this host.' };
    case 'ttl':
      return { TTL: duration(check.ttlMs), Notes: 'Reported by the application.' };
    default:
      return check satisfies never;
  }
}

/** The id of an instance in Consul. */
function registrationId(instance: LocalInstance, hostName: string): string {
  return instance.id ?? `${instance.consulName ?? consulNameOf(instance)}-${hostName}`;
}

/** What to register for all instances of a host, by id. Of several with one id, later ones get their port appended. */
export function registrationsOf(
  instances: readonly LocalInstance[],
  hostName: string,
): ReadonlyMap<string, Registration & { readonly instance: LocalInstance }> {
  const found = new Map<string, Registration & { readonly instance: LocalInstance }>();
  for (const instance of instances) {
    const plain = registrationId(instance, hostName);
    const id = found.has(plain) ? `${plain}-${instance.port}` : plain;
    found.set(id, { ...registrationOf(instance, hostName, id), instance });
  }
  return found;
}

/** What to register for one instance. */
export function registrationOf(
  instance: LocalInstance,
  hostName: string,
  id = registrationId(instance, hostName),
): Registration {
  const warnings: string[] = [];
  const common =
    instance.deregisterAfterMs === undefined
      ? {}
      : { DeregisterCriticalServiceAfter: duration(Math.max(MIN_DEREGISTER_MS, instance.deregisterAfterMs)) };
  const checks: CheckDefinition[] = [];
  const { check, proxyHealth } = instance;
  const applicationCheckId = check === undefined ? undefined : `${id}:application`;
  if (check !== undefined && applicationCheckId !== undefined)
    checks.push({
      CheckID: applicationCheckId,
      Name: 'application health',
      ...common,
      ...checkFields(check),
    });
  const proxyCheckId = proxyHealth === undefined ? undefined : `${id}:proxy`;
  if (proxyHealth !== undefined && proxyCheckId !== undefined)
    checks.push({
      CheckID: proxyCheckId,
      Name: 'proxy health',
      Notes: 'Envoy’s static health listener.',
      // A service is registered when Envoy is ready for it. Without a word of ours Consul would hold the instance for
      // critical until its first look, and a service that comes behind the proxy would be away for as long.
      Status: 'passing',
      ...QUIET,
      Interval: duration(PROXY_INTERVAL_MS),
      Timeout: duration(PROXY_TIMEOUT_MS),
      ...(proxyHealth.kind === 'http' ? { HTTP: proxyHealth.url } : { TCP: proxyHealth.address }),
      ...common,
    });
  const passing = Math.max(1, instance.weights.passing);
  if (passing !== instance.weights.passing)
    warnings.push(
      `weight ${instance.weights.passing} is registered as 1: Consul takes no less for a passing instance.`,
    );
  const definition: ServiceDefinition = {
    ID: id,
    Name: instance.consulName ?? consulNameOf(instance),
    Address: instance.address,
    Port: instance.port,
    Tags: instance.tags,
    Meta: metaOf(instance, hostName, warnings),
    Weights: { Passing: passing, Warning: Math.max(0, instance.weights.warning) },
    EnableTagOverride: false,
    Checks: checks,
  };
  return { definition, applicationCheckId, proxyCheckId, warnings };
}
