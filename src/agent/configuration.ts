/** What the agent works for: settings, the mesh's configuration, and the host that they make. */
import type { Host } from '../model/host.ts';
import type { ServiceName } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { AgentSettings } from './settings.ts';

/** What the host is configured to be. */
export interface Configuration {
  readonly settings: AgentSettings;
  readonly config: MeshConfig;
  readonly host: Host;
}

/** Services that take mutual TLS. */
export function meshedServices({ settings, host }: Configuration): readonly ServiceName[] {
  if (settings.identity.provider === 'none') return [];
  const gateways = settings.gateways.filter(({ register }) => register?.mutualTls === true);
  const workloads = host.workloads
    .filter(({ inbound, mode = 'full' }) => inbound !== undefined && mode === 'full')
    .map(({ namespace, service }) => ({ namespace, name: service }));
  return [...workloads, ...gateways.map(({ namespace, name }) => ({ namespace, name }))];
}

/** Canonical hosts of everything that this host calls. */
export function upstreamHosts({ upstreams, namedUpstreams = [] }: Host): readonly string[] {
  return [...new Set([...upstreams, ...namedUpstreams].map(({ serviceHost }) => serviceHost))];
}
