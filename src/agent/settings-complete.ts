/** From what is written to complete settings: defaults that depend on the machine or on other settings, absolute paths. */
import type { Mode } from '../model/host.ts';
import type { Locality } from '../model/service.ts';
import { PATHS } from '../platform/vm/paths.ts';
import { PORTS } from '../platform/vm/ports.ts';
import { SPIFFE_SEGMENT } from './setting-forms.ts';
import type {
  Account,
  AgentSettings,
  CheckSettings,
  GatewaySettings,
  InboundSettings,
  ServiceSettings,
} from './settings.ts';
import { type PathBase, resolvePath, resolveSecretPath } from './settings-files.ts';
import type { Complaint } from './settings-place.ts';
import type { WrittenSettings } from './settings-schema.ts';

/** What the machine says of itself. */
export interface Machine {
  /** Its host name. */
  readonly hostName: string;
  /** Address of the interface of the default route; undefined: there is none. */
  readonly address: string | undefined;
  /** Processor cores that this process may use. */
  readonly cores: number;
}

interface Surroundings {
  readonly file: string | undefined;
  readonly base: PathBase;
  readonly machine: Machine;
  readonly exists: (path: string) => boolean;
}

const CHECK_INTERVAL_MS = 10_000;
const CHECK_TIMEOUT_MS = 2000;

type WrittenService = WrittenSettings['services'][number];

function checkOf({ check, port }: WrittenService): CheckSettings | undefined {
  const times = { intervalMs: check?.interval ?? CHECK_INTERVAL_MS, timeoutMs: check?.timeout ?? CHECK_TIMEOUT_MS };
  if (check?.http !== undefined) return { kind: 'http', path: check.http, ...times };
  if (check?.grpc !== undefined) return { kind: 'grpc', service: check.grpc, ...times };
  if (check?.command !== undefined) return { kind: 'command', command: check.command, ...times };
  if (check?.ttl !== undefined) return { kind: 'ttl', ttlMs: check.ttl };
  return port === undefined ? undefined : { kind: 'tcp', ...times };
}

/** Whether Envoy is between peers and the application. */
export function isProxied(mode: Mode): boolean {
  return mode === 'observe' || mode === 'full';
}

function inboundOf(written: WrittenService, mode: Mode, hostAddress: string): InboundSettings | undefined {
  const { port, protocol } = written;
  if (port === undefined) return undefined;
  const capture = written.capture === 'none' ? undefined : written.capture;
  // Where peers dial the application itself, and where it listens as if there were no mesh, it cannot be on loopback.
  const address = capture !== undefined || !isProxied(mode) ? hostAddress : '127.0.0.1';
  return { port, protocol, application: written.application ?? { address, port }, capture };
}

function serviceOf(written: WrittenService, hostMode: Mode, hostAddress: string): ServiceSettings {
  const { name, namespace, version, unit, user, mode = hostMode } = written;
  return {
    name,
    namespace,
    serviceAccount: written.serviceAccount ?? name,
    version,
    labels: version === undefined ? written.labels : { ...written.labels, version },
    tags: written.tags,
    weights: written.weights,
    ...(written.workloadGroup === undefined ? {} : { workloadGroup: written.workloadGroup }),
    mode,
    inbound: inboundOf(written, mode, hostAddress),
    caller: unit !== undefined ? { unit } : user !== undefined ? { user } : undefined,
    check: checkOf(written),
    deregisterCriticalServiceAfterMs: written.deregisterCriticalServiceAfter,
  };
}

function gatewayOf({
  name,
  labels,
  serviceAccount,
  register,
  trustedProxies,
  proxyProtocol,
  ...written
}: WrittenSettings['gateways'][number]): GatewaySettings {
  return {
    ...written,
    name,
    serviceAccount: serviceAccount ?? name,
    labels: { app: name, istio: name, ...labels },
    register,
    trustedProxies,
    proxyProtocol,
  };
}

/** The only account of the services, or undefined. */
function onlyAccount(services: readonly ServiceSettings[]): Account | undefined {
  const [first] = services;
  if (first === undefined) return undefined;
  const same = services.every(
    ({ namespace, serviceAccount }) => namespace === first.namespace && serviceAccount === first.serviceAccount,
  );
  return same ? { namespace: first.namespace, serviceAccount: first.serviceAccount } : undefined;
}

/** Complete settings, or what the machine could not say. */
export function completeSettings(
  written: WrittenSettings,
  { file, base, machine, exists }: Surroundings,
): { readonly settings: AgentSettings } | { readonly complaints: readonly Complaint[] } {
  const name = written.host.name ?? SPIFFE_SEGMENT.parse(machine.hostName);
  const address = written.host.address ?? machine.address;
  if (name === undefined || address === undefined)
    return {
      complaints: [
        ...(name === undefined
          ? [
              {
                code: 'TRY0902',
                path: ['host', 'name'],
                message: `the machine's host name ${JSON.stringify(machine.hostName)} is not ${SPIFFE_SEGMENT.noun}`,
                remedy: 'Set host.name.',
              },
            ]
          : []),
        ...(address === undefined
          ? [
              {
                code: 'TRY0902',
                path: ['host', 'address'],
                message: 'the machine has no default route that would tell its address',
                remedy: 'Set host.address to the address where peers reach this host.',
              },
            ]
          : []),
      ],
    };
  const services = written.services.map((service) => serviceOf(service, written.mode, address));
  const path = (text: string): string => resolvePath(text, base);
  const secret = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : resolveSecretPath(text, base);
  const { trust } = written.mesh.fleet;
  const trustFile = trust !== undefined ? path(trust) : exists(PATHS.fleetRoot) ? PATHS.fleetRoot : undefined;
  // What is learnt is called by its name, which somebody has to answer.
  const enabled =
    written.dns.enabled ??
    (written.discovery.onDemand === true || written.upstreams.some(({ listen }) => listen === undefined));
  const { certificateFile, keyFile, rootFile } = written.identity.files;
  const { provider } = written.identity;
  const locality: Locality | undefined = written.host.locality;
  return {
    settings: {
      file,
      host: { name, address, locality },
      mesh: {
        configFile:
          written.mesh.config !== undefined
            ? path(written.mesh.config)
            : exists(PATHS.meshConfig)
              ? PATHS.meshConfig
              : undefined,
        resourcesDir: path(written.mesh.resources),
        fleet: trustFile === undefined ? undefined : { trustFile, namespaces: written.mesh.fleet.namespaces },
      },
      registry: written.registry,
      consul: {
        address: written.consul.address,
        tokenFile: secret(written.consul.tokenFile),
        caFile: secret(written.consul.caFile),
        certFile: secret(written.consul.certFile),
        keyFile: secret(written.consul.keyFile),
        maxWatches: written.consul.maxWatches,
      },
      identity: {
        provider,
        persist: written.identity.persist,
        ca: { address: written.identity.ca.address, joinTokenFile: secret(written.identity.ca.joinTokenFile) },
        files:
          provider === 'files'
            ? {
                certificateFile: secret(certificateFile) ?? '',
                keyFile: secret(keyFile) ?? '',
                rootFile: secret(rootFile) ?? '',
              }
            : undefined,
      },
      mode: written.mode,
      services,
      upstreams: written.upstreams.map(({ service, port, listen, callAs }) => ({ service, port, listen, callAs })),
      gateways: written.gateways.map(gatewayOf),
      callAs: provider === 'none' ? undefined : (written.callAs ?? onlyAccount(services)),
      capture: { ...written.capture, onProxyFailure: { inbound: undefined, ...written.capture.onProxyFailure } },
      dns: {
        enabled,
        listen: written.dns.listen,
        addresses: written.dns.addresses,
      },
      discovery: {
        onDemand: written.discovery.onDemand ?? (enabled || written.discovery.proxy !== undefined),
        keepForMs: written.discovery.keepFor,
        max: written.discovery.max,
        proxy: written.discovery.proxy,
      },
      envoy: {
        launcher: written.envoy.launcher,
        runDir: path(
          written.envoy.runDir ?? (written.envoy.launcher === 'systemd' ? PATHS.envoyRun : written.paths.run),
        ),
        binary: written.envoy.binary === undefined ? undefined : path(written.envoy.binary),
        concurrency: written.envoy.concurrency ?? machine.cores,
        concurrencyGiven: written.envoy.concurrency !== undefined,
        healthListener: written.envoy.healthListener ?? { address, port: PORTS.health },
        drainTimeMs: written.envoy.drainTime,
        lingerTimeMs: written.envoy.lingerTime,
      },
      paths: {
        state: path(written.paths.state),
        run: path(written.paths.run),
        credentials: path(written.paths.credentials),
      },
      log: written.log,
    },
  };
}
