/** All that the parts of the agent know of themselves, as the local API's `Status`. */
import { X509Certificate } from 'node:crypto';
import type {
  CertificatesStatus,
  ConsulStatus,
  EnvoyStatus,
  FleetStatus,
  HealthStatus,
  MeshConfigStatus,
  Status,
  XdsTypeStatus,
} from '../api/status.ts';
import { VERSION } from '../api/version.ts';
import type { EnvoyProcess } from '../envoy/process.ts';
import { stepText, takesPart } from '../fleet/stage.ts';
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import type { Host } from '../model/host.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { reportMeshConfig } from './mesh-config-report.ts';
import type { MeshSide } from './mesh-side.ts';
import { reportPlainText } from './plain-text-report.ts';
import { reportGateways, reportServices, reportUpstreams, withRemedy } from './service-report.ts';
import type { AgentSettings } from './settings.ts';

/** The running agent; parts that are still starting are undefined. */
export interface AgentParts {
  settings: AgentSettings;
  config: MeshConfig;
  /** Of agent.yaml and meshconfig.yaml, as they were read last. */
  configDiagnostics: readonly Diagnostic[];
  /** Of what resources say of this host. */
  resourceDiagnostics?: readonly Diagnostic[];
  /** Of what the host is given: addresses, names. */
  hostDiagnostics?: () => readonly Diagnostic[];
  host: Host;
  readonly since: Date;
  readonly envoy: EnvoyProcess;
  mesh?: MeshSide;
  /** What was learnt when it was first called; undefined: nothing is learnt. */
  learnt?: () => {
    readonly services: readonly { readonly host: string; readonly lastUsedMs: number }[];
    readonly diagnostics: readonly Diagnostic[];
  };
  /** Whether Envoy has been ready once. */
  isReady?: boolean;
  isDraining?: boolean;
}

const iso = (ms: number): string => new Date(ms).toISOString();

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V };
}

const ENVOY_STATES: Readonly<Record<EnvoyProcess['status']['state']['kind'], EnvoyStatus['state']>> = {
  stopped: 'stopped',
  starting: 'starting',
  ready: 'running',
  unresponsive: 'running',
  backoff: 'crashed',
  draining: 'draining',
  left: 'running',
};

function reportEnvoy({ status }: EnvoyProcess): EnvoyStatus {
  const { state, version, restarts, startedAtMs, lastFailure } = status;
  return {
    state: ENVOY_STATES[state.kind],
    ready: state.kind === 'ready',
    ...optional('version', version),
    ...optional('pid', 'pid' in state ? state.pid : undefined),
    ...optional('epoch', status.epoch),
    restarts,
    ...optional('since', startedAtMs === undefined ? undefined : iso(startedAtMs)),
    ...optional('error', state.kind === 'ready' ? undefined : lastFailure?.message),
  };
}

function reportConsul(mesh: MeshSide): ConsulStatus | undefined {
  const { consul } = mesh;
  if (consul === undefined) return undefined;
  const catalogue = consul.watcher.status();
  const registrar = consul.registrar.status();
  const watched = catalogue.services.length > 0;
  const errors = new Set(
    [...catalogue.services, ...registrar.services].flatMap(({ error }) =>
      error === undefined ? [] : [withRemedy(error)],
    ),
  );
  return {
    connected: watched ? catalogue.connected : registrar.services.length === 0 || registrar.connected,
    address: catalogue.address,
    ...optional('lastContact', catalogue.lastContactMs === undefined ? undefined : iso(catalogue.lastContactMs)),
    watches: catalogue.services.length,
    errors: [...errors],
  };
}

function reportFleet({ fleet }: MeshSide, settings: AgentSettings): FleetStatus | undefined {
  if (fleet === undefined) return undefined;
  const { follower } = fleet;
  return {
    ...optional('revision', follower.meshRevision),
    localResources: follower.localResources,
    namespaces: follower.status().map(({ namespace, revision, publishedMs, publisher, current, stage }) => ({
      namespace,
      ...optional('revision', revision),
      ...optional('publishedAt', publishedMs === undefined ? undefined : iso(publishedMs)),
      ...optional('publisher', publisher),
      current,
      ...(stage === undefined || stage.step >= stage.steps.length
        ? {}
        : { step: stepText(stage), takesPart: takesPart(stage, settings.host.name) }),
    })),
  };
}

function meshConfigOf({ fleet, resources }: MeshSide, { settings, config }: AgentParts): MeshConfigStatus {
  const { meshSettings } = fleet?.resources ?? resources.resources;
  return reportMeshConfig(settings.mesh.configFile, config, meshSettings);
}

const TYPE_NAME = /\.([A-Za-z]+)$/;

function reportXds(mesh: MeshSide): readonly XdsTypeStatus[] {
  // The newest stream of each type: an Envoy that was replaced may still be draining.
  const types = new Map(mesh.xds.status().clients.flatMap(({ types: byUrl }) => Object.entries(byUrl)));
  const counts = mesh.xds.resourceCounts();
  return [...types].map(([typeUrl, type]) => {
    const { acknowledged = 0, sent = 0, rejected = 0 } = counts.get(typeUrl) ?? {};
    return {
      type: TYPE_NAME.exec(typeUrl)?.[1] ?? typeUrl,
      sent: acknowledged + sent + rejected,
      acknowledged,
      inFlight: type.inFlightMs === undefined ? 0 : 1,
      rejected: (type.rejected?.names ?? []).map((name) => ({ name, why: type.rejected?.message ?? '' })),
    };
  });
}

function reportCertificates(parts: AgentParts): CertificatesStatus {
  const { mesh, settings } = parts;
  const { provider } = settings.identity;
  if (mesh === undefined) return { provider, workloads: [], roots: [] };
  const status = mesh.identity.status();
  const { hostCredential, lastError } = status.provider;
  const roots = mesh.identity.material().rootsPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  return {
    provider,
    workloads: status.certificates.map((certificate) => ({
      spiffeId: certificate.spiffeId,
      ...optional('serial', certificate.serial),
      ...optional('notAfter', certificate.notAfterMs === undefined ? undefined : iso(certificate.notAfterMs)),
      ...optional('nextRenewal', certificate.renewAtMs === undefined ? undefined : iso(certificate.renewAtMs)),
      ...optional('error', certificate.lastError),
    })),
    ...optional(
      'host',
      hostCredential === undefined
        ? undefined
        : {
            spiffeId: hostCredential.spiffeId,
            serial: hostCredential.serial,
            notAfter: iso(hostCredential.notAfterMs),
            nextRenewal: iso(hostCredential.renewAtMs),
            ...optional('error', lastError),
          },
    ),
    roots: (roots ?? []).map((pem) => {
      const certificate = new X509Certificate(pem);
      return {
        subject: certificate.subject,
        sha256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
        notAfter: new Date(certificate.validTo).toISOString(),
      };
    }),
  };
}

function envoyDiagnostics({ status }: EnvoyProcess): readonly Diagnostic[] {
  const { state, lastFailure, outdated, hotRestart } = status;
  const diagnostics: Diagnostic[] = [];
  if (state.kind === 'backoff' && lastFailure !== undefined)
    diagnostics.push({
      code: 'TRY0104',
      severity: 'error',
      object: 'Envoy',
      message: lastFailure.message,
      remedy: lastFailure.remedy,
    });
  if (outdated !== undefined)
    diagnostics.push({
      code: 'TRY0104',
      severity: 'warning',
      object: 'Envoy',
      message: `the running Envoy is not the one that is wanted: ${outdated}`,
      remedy: 'The agent tries the hot restart again; see trysail status for what is in its way.',
    });
  if (hotRestart?.phase === 'done' && (hotRestart.connections ?? 0) > 0)
    diagnostics.push({
      code: 'TRY0106',
      severity: 'info',
      object: 'Envoy',
      message: `a hot restart (${hotRestart.reason}) closed ${hotRestart.connections} connections that outlived its drain`,
      remedy: 'Have clients connect anew from time to time, or set a longer envoy.drainTime.',
    });
  return diagnostics;
}

/** All that is wrong now, most severe first. */
export function allDiagnostics(parts: AgentParts): readonly Diagnostic[] {
  return [
    ...parts.configDiagnostics,
    ...(parts.resourceDiagnostics ?? []),
    ...(parts.hostDiagnostics?.() ?? []),
    ...envoyDiagnostics(parts.envoy),
    ...(parts.mesh?.diagnostics ?? []),
    ...(parts.learnt?.().diagnostics ?? []),
  ].sort(compareDiagnostics);
}

/**
 * Everything that is known now.
 * @param bypassable by service: where others reach its application past the proxy
 */
export function reportStatus(
  parts: AgentParts,
  bypassable: ReadonlyMap<string, readonly string[]> = new Map(),
): Status {
  const { settings, config, host, envoy, mesh } = parts;
  const state = parts.isDraining === true ? 'draining' : parts.isReady === true ? 'running' : 'starting';
  const { region, zone, subzone } = host.locality;
  const locality = [region, zone, subzone].filter((part) => part !== '').join('/');
  const envoyStatus = reportEnvoy(envoy);
  const proxy: HealthStatus = { state: envoyStatus.ready ? 'passing' : 'critical' };
  return {
    agent: {
      version: VERSION,
      pid: process.pid,
      since: parts.since.toISOString(),
      state,
      lastGood: mesh?.servesLastGood ?? false,
    },
    host: {
      name: settings.host.name,
      address: settings.host.address,
      ...optional('locality', locality === '' ? undefined : locality),
      trustDomain: config.trustDomain,
    },
    services: reportServices(settings, host, mesh?.consul?.registrar.status(), proxy, bypassable),
    upstreams: mesh?.loop.mesh === undefined ? [] : reportUpstreams(host, mesh.loop.mesh),
    ...(mesh?.loop.mesh === undefined || host.gateways === undefined
      ? {}
      : { gateways: reportGateways(mesh.loop.usableHost, mesh.loop.mesh) }),
    ...optional(
      'learnt',
      parts.learnt?.().services.map((one) => ({ service: one.host, lastUsed: iso(one.lastUsedMs) })),
    ),
    ...optional('consul', mesh === undefined ? undefined : reportConsul(mesh)),
    ...optional('fleet', mesh === undefined ? undefined : reportFleet(mesh, settings)),
    ...optional('meshConfig', mesh === undefined ? undefined : meshConfigOf(mesh, parts)),
    envoy: envoyStatus,
    xds: mesh === undefined ? [] : reportXds(mesh),
    certificates: reportCertificates(parts),
    plainText:
      mesh?.loop.mesh === undefined ? [] : reportPlainText(host, mesh.loop.mesh, settings.identity.provider !== 'none'),
    diagnostics: allDiagnostics(parts),
  };
}
