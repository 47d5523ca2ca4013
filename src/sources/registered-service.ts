/**
 * One service of Consul's catalogue → the model. The catalogue says where instances are; who may serve, and whether
 * over mutual TLS, comes from the `Service` record and from convention (design, decisions 6, 7 and 9).
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import { type ServiceName, serviceHosts, serviceOfConsulName } from '../model/host-names.ts';
import { labelsOfInstance } from '../model/labels.ts';
import { parseLocality } from '../model/locality.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { protocolOf } from '../model/protocol.ts';
import { decodeLabelKey, META } from '../model/registration.ts';
import type { Endpoint, Health, Protocol, Service, ServicePort } from '../model/service.ts';
import type { CatalogueInstance } from './catalogue-state.ts';
import { isIpAddress } from './field-types.ts';
import { identitiesOf } from './identities.ts';
import type { ServiceRecord } from './kinds/service-record.ts';
import { sharedData } from './sharing.ts';

/** What is known of one service. All parts are compared by identity: the same inputs give the same objects. */
export interface RegisteredInputs {
  readonly config: MeshConfig;
  readonly consulName: string;
  /** Undefined: the catalogue was not asked, or has not answered. */
  readonly instances: readonly CatalogueInstance[] | undefined;
  readonly record: ServiceRecord | undefined;
  /** Whether this host runs it in the mesh, or it was seen meshed before. */
  readonly knownMeshed: boolean;
}

export interface RegisteredService {
  readonly inputs: RegisteredInputs;
  readonly service: Service;
  readonly endpoints: readonly Endpoint[];
  readonly diagnostics: readonly Diagnostic[];
  /** For reuse: the endpoint that each instance became. */
  readonly byInstance: ReadonlyMap<CatalogueInstance, Endpoint>;
}

/** Where a service has no port of its own and its instances share none. */
const DEFAULT_PORT = 80;
/** Largest weight that Consul takes. */
const MAX_WEIGHT = 65_535;
/** How many names a message lists. */
const MAX_LISTED = 5;

function list(names: readonly string[]): string {
  const rest = names.length - MAX_LISTED;
  return names.slice(0, MAX_LISTED).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

/** The value that most have; in a tie the one from before, else the smallest. And whether all agree. */
function majority<T extends string | number>(
  values: readonly T[],
  before: T | undefined,
): { readonly value: T | undefined; readonly agreed: boolean } {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const rank = (value: T): number => Number(value !== before);
  const [best] = [...counts].sort(([a, n], [b, m]) => m - n || rank(a) - rank(b) || (a < b ? -1 : 1));
  return { value: best?.[0], agreed: counts.size <= 1 };
}

function portNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined;
}

function claimsMtls(instance: CatalogueInstance): boolean {
  return instance.meta[META.tls] === 'mtls';
}

interface Findings {
  readonly object: string;
  readonly diagnostics: Diagnostic[];
}

function find(found: Findings, code: string, message: string, remedy: string): void {
  found.diagnostics.push({ code, severity: 'warning', object: found.object, message, remedy });
}

function portsOf(
  instances: readonly CatalogueInstance[],
  record: ServiceRecord | undefined,
  previous: Service | undefined,
  found: Findings,
): readonly ServicePort[] {
  if (record !== undefined && record.ports.length > 0) return record.ports;
  // With the last instance gone nothing speaks of the port; what listens on this host stays as it is.
  if (instances.length === 0 && previous !== undefined) return previous.ports;
  const remedy = 'Write a Service record (trysail.dev/v1) with its ports.';
  const [before] = previous?.ports ?? [];
  const claimed = majority(
    instances.flatMap(({ meta }) => portNumber(meta[META.servicePort]) ?? []),
    before?.number,
  );
  const shared = majority(
    instances.map(({ port }) => port).filter((port) => port > 0),
    before?.number,
  );
  let number = claimed.value;
  if (!claimed.agreed) find(found, 'TRY0301', `instances say different service ports; ${number} is used`, remedy);
  if (number === undefined) {
    number = shared.agreed && shared.value !== undefined ? shared.value : DEFAULT_PORT;
    if (!shared.agreed)
      find(found, 'TRY0301', `instances listen on different ports; ${number} is the port of the service`, remedy);
  }
  const protocols = majority(
    instances.flatMap(({ meta }) => protocolOf(meta[META.protocol] ?? '') ?? []),
    before?.protocol,
  );
  const protocol: Protocol = protocols.value ?? 'AUTO';
  if (!protocols.agreed) find(found, 'TRY0301', `instances say different protocols; ${protocol} is used`, remedy);
  return [{ number, name: `port-${number}`, protocol }];
}

function tlsOf(inputs: RegisteredInputs, instances: readonly CatalogueInstance[]): Service['tls'] {
  if (inputs.record?.tls !== undefined) return inputs.record.tls;
  if (!inputs.config.enableAutoMtls) return 'plain';
  return inputs.knownMeshed || instances.some(claimsMtls) ? 'required' : 'plain';
}

/** An instance registers one port. Of several service ports it is the one it names, else the one with its number, else the first. */
function dialledPorts(instance: CatalogueInstance, ports: readonly ServicePort[]): Readonly<Record<number, number>> {
  const named = portNumber(instance.meta[META.servicePort]);
  const primary =
    ports.find(({ number }) => number === named) ?? ports.find(({ number }) => number === instance.port) ?? ports[0];
  return Object.fromEntries(
    ports.map((port) => [port.number, port === primary && instance.port > 0 ? instance.port : port.number]),
  );
}

function labelsOf(meta: CatalogueInstance['meta']): Readonly<Record<string, string>> {
  const labels = Object.entries(meta).flatMap(([key, value]) => {
    const label = key === META.version ? 'version' : decodeLabelKey(key);
    return label === undefined ? [] : [[label, value] as const];
  });
  return Object.fromEntries(labels);
}

function endpointOf(instance: CatalogueInstance, service: string, ports: readonly ServicePort[]): Endpoint {
  const weight = instance.status === 'warning' ? instance.weights.warning : instance.weights.passing;
  const health: Health = instance.status === 'critical' || weight <= 0 ? 'UNHEALTHY' : 'HEALTHY';
  return {
    id: instance.id,
    address: instance.address,
    ports: dialledPorts(instance, ports),
    health,
    weight: Math.min(MAX_WEIGHT, Math.max(1, Math.trunc(weight) || 1)),
    locality: parseLocality(instance.meta[META.locality]),
    labels: labelsOfInstance(service, labelsOf(instance.meta)),
    offersMtls: claimsMtls(instance),
  };
}

function sameService(a: Service | undefined, b: Service): boolean {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b);
}

function canBeDialled({ address, port }: CatalogueInstance): boolean {
  return isIpAddress(address) && Number.isInteger(port) && port >= 0 && port <= 65_535;
}

function dialable(instances: readonly CatalogueInstance[], found: Findings): readonly CatalogueInstance[] {
  const others = instances.filter((instance) => !canBeDialled(instance));
  if (others.length === 0) return instances;
  find(
    found,
    'TRY0304',
    `registered without an IP address and a port: ${list(others.map(({ id, address, port }) => `${id} (${address}, ${port})`))}`,
    'Register the IP address, or describe the service by a ServiceEntry with resolution: DNS.',
  );
  return instances.filter(canBeDialled);
}

/** The instances that a client may use, by what it expects of the service. */
function admit(
  instances: readonly CatalogueInstance[],
  { namespace, name }: ServiceName,
  tls: Service['tls'],
  hasIdentities: boolean,
  found: Findings,
): readonly CatalogueInstance[] {
  if (tls === 'plain') return instances;
  if (!hasIdentities)
    find(
      found,
      'TRY0305',
      'its service accounts give no SPIFFE identity; none of its endpoints is used over TLS',
      'Use letters, digits, "-", "_" and "." in namespaces, services and service accounts.',
    );
  const rejected = tls === 'required' ? instances.filter((instance) => !claimsMtls(instance)) : [];
  if (rejected.length > 0)
    find(
      found,
      'TRY0303',
      `registered without mutual TLS, which the service requires: ${list(rejected.map(({ id }) => id))}`,
      `Take them into the mesh, or write a Service record for ${namespace}/${name} with "tls: migrating".`,
    );
  return instances.filter((instance) => (claimsMtls(instance) ? hasIdentities : tls === 'migrating'));
}

/** The model's form of one service, sharing with `previous` whatever is equal. Pure. */
export function buildRegisteredService(
  inputs: RegisteredInputs,
  previous: RegisteredService | undefined,
): RegisteredService {
  const { config, consulName, record } = inputs;
  const name: ServiceName = record?.meta ?? serviceOfConsulName(consulName);
  const { namespace } = name;
  const found: Findings = { object: `service ${namespace}/${name.name}`, diagnostics: [] };
  const usable = dialable(inputs.instances ?? [], found);
  const tls = tlsOf(inputs, usable);
  const accounts = record?.accounts ?? [{ namespace, serviceAccount: name.name }];
  const identities = tls === 'plain' ? [] : identitiesOf(config, accounts);
  const admitted = admit(usable, name, tls, identities.length > 0, found);
  const [host, ...aliases] = serviceHosts(config, name, consulName);
  const built: Service = {
    host,
    namespace,
    name: name.name,
    consulName,
    aliases,
    // What is not believed has no word on the port either.
    ports: portsOf(tls === 'required' ? admitted : usable, record, previous?.service, found),
    tls,
    identities,
    resolution: 'EDS',
    external: false,
  };
  const service = previous !== undefined && sameService(previous.service, built) ? previous.service : built;

  const reusable = previous?.service.ports === service.ports ? previous.byInstance : undefined;
  const byInstance = new Map<CatalogueInstance, Endpoint>();
  for (const instance of admitted)
    byInstance.set(instance, reusable?.get(instance) ?? endpointOf(instance, service.name, service.ports));
  const endpoints = [...byInstance.values()].sort((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)));
  const unchanged =
    endpoints.length === previous?.endpoints.length && endpoints.every((e, i) => e === previous.endpoints[i]);
  return {
    inputs,
    service,
    endpoints: unchanged ? previous.endpoints : endpoints,
    diagnostics: sharedData(previous?.diagnostics, found.diagnostics),
    byInstance,
  };
}
