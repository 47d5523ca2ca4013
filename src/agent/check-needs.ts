/** What agent.yaml needs of the host, in the words of the host's checks. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { envoyFiles, launcherFiles } from '../envoy/files.ts';
import { isRunning } from '../envoy/process-identity.ts';
import { readRecord } from '../envoy/state-file.ts';
import type { Host } from '../model/host.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { HostNeeds, NeededApplication, NeededPort } from '../platform/vm/checks/host-check.ts';
import { dnsDomains, MESH_DOMAIN } from '../platform/vm/dns-domains.ts';
import { PATHS } from '../platform/vm/paths.ts';
import { mergeServers } from '../translate/gateway/gateway-servers.ts';
import { readHostResources } from './read-resources.ts';
import type { AgentSettings, ServiceSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';
import { toHost } from './settings-host.ts';

const ANY = '0.0.0.0';

/** Pids that a launcher has written down, of those that live: the files of earlier Envoys stay. */
async function launchedIn(dir: string): Promise<readonly number[]> {
  const { envoyPids: pattern } = launcherFiles(dir);
  const names = await readdir(dir).catch(() => []);
  const written = await Promise.all(
    names
      .filter((name) => pattern.test(name))
      .map(async (name) => Number(await readFile(join(dir, name), 'utf8').catch(() => ''))),
  );
  return written.filter((pid) => pid > 0 && existsSync(`/proc/${pid}`));
}

/** The processes that listen for us. */
async function envoyPids({ paths, envoy }: AgentSettings): Promise<readonly number[]> {
  const record = await readRecord(envoyFiles(paths.run).record);
  const ours = record !== undefined && isRunning(record) ? [record.pid] : [];
  // The unit of the agent says who launches Envoy, and not every shell knows what the unit says.
  const dirs = new Set([envoy.runDir, ...(paths.run === PATHS.run ? [PATHS.envoyRun] : [])]);
  return [...new Set([...ours, ...(await Promise.all([...dirs].map(launchedIn))).flat()])];
}

const objectOf = ({ namespace, name }: ServiceSettings): string => `service ${namespace}/${name}`;

function portsOf(host: Host): readonly NeededPort[] {
  const tcp = (
    object: string,
    { address, port }: { address: string; port: number },
    fromPeers = false,
  ): NeededPort => ({
    object,
    protocol: 'tcp',
    address,
    port,
    fromPeers,
  });
  return [
    ...host.workloads.flatMap(({ namespace, service, inbound }) =>
      inbound === undefined || inbound.capture !== undefined
        ? []
        : [tcp(`service ${namespace}/${service}`, inbound.listen, true)],
    ),
    ...host.upstreams.flatMap(({ serviceHost, listen }) =>
      'path' in listen ? [] : [tcp(`upstream ${serviceHost}`, listen)],
    ),
    ...(host.callers ?? []).map(({ capturePort }) =>
      tcp('captured calls', { address: '127.0.0.1', port: capturePort }),
    ),
    ...(host.inboundCapturePort === undefined
      ? []
      : [tcp('captured connections', { address: ANY, port: host.inboundCapturePort })]),
    ...(host.dns === undefined ? [] : [{ ...tcp('DNS', host.dns.listen), protocol: 'udp' } as const]),
    tcp('health listener', host.healthListener),
  ];
}

/** Where Envoy listens for Gateways, as far as is known on this host. */
async function gatewayPorts(host: Host, settings: AgentSettings, config: MeshConfig): Promise<readonly NeededPort[]> {
  const { gateways = [] } = host;
  if (gateways.length === 0) return [];
  const resources = await readHostResources({ settings, config, host });
  return gateways.flatMap((role) =>
    mergeServers(resources.gateways, role).ports.map(
      ({ listen }): NeededPort => ({
        object: `gateway ${role.namespace}/${role.name}`,
        protocol: 'tcp',
        ...listen,
        fromPeers: true,
      }),
    ),
  );
}

/** Behind Envoy an application is to be out of the reach of peers, unless capture keeps them from its port. */
function applicationsOf({ services }: AgentSettings): readonly NeededApplication[] {
  return services.flatMap((service) => {
    const { inbound, mode } = service;
    if (inbound === undefined) return [];
    const isKept = inbound.capture !== undefined && inbound.application.port === inbound.port;
    const guarded = isProxied(mode) && !isKept;
    return [{ object: objectOf(service), ...inbound.application, guarded }];
  });
}

function dialledOf({ host, services }: AgentSettings): readonly NeededPort[] {
  return services.flatMap((service) => {
    const { inbound, mode } = service;
    if (inbound === undefined) return [];
    const base = { object: objectOf(service), protocol: 'tcp', fromPeers: true } as const;
    if (mode === 'off' || mode === 'outbound') return [{ ...base, ...inbound.application }];
    return inbound.capture === undefined ? [] : [{ ...base, address: host.address, port: inbound.port }];
  });
}

/** The needs of a host with these settings. */
export async function hostNeeds(settings: AgentSettings, config: MeshConfig): Promise<HostNeeds> {
  const { capture, services, dns, discovery, paths, consul, identity } = settings;
  const host = toHost(settings, config);
  const named = (host.namedUpstreams ?? []).map(({ serviceHost }) => serviceHost);
  const inbound = new Set(services.map((service) => service.inbound?.capture));
  const outbound = capture.outbound !== 'none' || capture.interfaces.length > 0;
  const units = services.flatMap(({ caller }) => (caller !== undefined && 'unit' in caller ? [caller.unit] : []));
  const users = services.flatMap(({ caller }) => (caller !== undefined && 'user' in caller ? [caller.user] : []));
  return {
    known: true,
    hostAddress: settings.host.address,
    ports: [...portsOf(host), ...(await gatewayPorts(host, settings, config))],
    dialled: dialledOf(settings),
    applications: applicationsOf(settings),
    capture: {
      redirect: outbound || inbound.has('redirect'),
      tproxy: inbound.has('tproxy'),
      cgroup: outbound && units.length > 0,
    },
    units,
    users: [...users, ...capture.exclude.users].filter((user) => !/^\d+$/.test(user)),
    interfaces: capture.interfaces,
    dns: dns.enabled
      ? { ...dns.listen, domains: dnsDomains(discovery.onDemand ? [MESH_DOMAIN, ...named] : named).routed }
      : undefined,
    paths: { config: settings.file ?? PATHS.agentConfig, ...paths },
    secrets: [consul.tokenFile, consul.keyFile, identity.files?.keyFile, identity.ca.joinTokenFile].filter(
      (file) => file !== undefined,
    ),
    envoyPids: await envoyPids(settings),
  };
}

/** What every host needs, where agent.yaml cannot be read. */
export function unknownNeeds(file: string): HostNeeds {
  return {
    known: false,
    hostAddress: '',
    ports: [],
    dialled: [],
    applications: [],
    capture: { redirect: false, tproxy: false, cgroup: false },
    units: [],
    users: [],
    interfaces: [],
    dns: undefined,
    paths: { config: file, state: PATHS.state, run: PATHS.run },
    secrets: [],
    envoyPids: [],
  };
}
