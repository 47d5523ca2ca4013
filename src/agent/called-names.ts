/** What a name means that somebody on this host calls, and whether anybody here may call it. */
import type { Host } from '../model/host.ts';
import { DEFAULT_NAMESPACE, serviceHosts, serviceOfHost } from '../model/host-names.ts';
import type { Mesh } from '../model/mesh.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { Service } from '../model/service.ts';
import { dnsNames } from '../translate/dns/dns-names.ts';
import { type Client, callerCalling, capturedCallers, hostCalling, isMeshed } from '../translate/view/calling.ts';
import { type Scope, scopeOf, sidecarOf } from '../translate/view/scope.ts';

interface Names {
  readonly config: MeshConfig;
  readonly hosts: ReadonlyMap<string, string>;
}

const NAMES = new WeakMap<Mesh['services'], Names>();

/** Made once for the services of a mesh: any program of the host may ask for names, as often as it likes. */
function hostsByName({ services, config }: Pick<Mesh, 'services' | 'config'>): ReadonlyMap<string, string> {
  const known = NAMES.get(services);
  if (known?.config === config) return known.hosts;
  const hosts = new Map<string, string>();
  for (const service of services.values())
    for (const name of dnsNames(service.host, service, config)) if (!hosts.has(name)) hosts.set(name, service.host);
  NAMES.set(services, { config, hosts });
  return hosts;
}

/** The canonical host that a DNS name stands for; undefined for names that no service of this mesh can have. */
export function meantHost({ services, config }: Pick<Mesh, 'services' | 'config'>, name: string): string | undefined {
  if (services.has(name)) return name;
  const byTemplate = serviceOfHost(config, name);
  if (byTemplate !== undefined) return serviceHosts(config, byTemplate)[0];
  const [template = ''] = config.serviceHosts;
  const short = serviceOfHost({ serviceHosts: [template.replace('.{namespace}', '')] }, name);
  if (short?.namespace === DEFAULT_NAMESPACE && template.includes('.{namespace}'))
    return serviceHosts(config, short)[0];
  return hostsByName({ services, config }).get(name);
}

function scopes(mesh: Mesh, host: Host): readonly { readonly client: Client; readonly scope: Scope }[] {
  const clients = [
    hostCalling(host).unnamed,
    ...capturedCallers(host)
      .filter(isMeshed)
      .map((caller) => callerCalling(host, caller)),
  ];
  return clients.map((client) => ({ client, scope: scopeOf(sidecarOf(mesh, client), mesh.virtualServices, client) }));
}

/** Whether anybody on the host may call a service, by Sidecar and `exportTo`; of one that nobody knows yet the name decides. */
export function mayBeCalled(mesh: Mesh, host: Host, serviceHost: string): boolean {
  const { namespace = DEFAULT_NAMESPACE, name = serviceHost } = serviceOfHost(mesh.config, serviceHost) ?? {};
  const service: Service = mesh.services.get(serviceHost) ?? {
    host: serviceHost,
    namespace,
    name,
    consulName: undefined,
    aliases: [],
    ports: [],
    tls: 'plain',
    identities: [],
    resolution: 'EDS',
    external: false,
  };
  return scopes(mesh, host).some(({ scope }) => scope.calls(service));
}

/** Canonical hosts that Sidecars of this host's callers import by name: they are called without being learnt first. */
export function importedHosts(mesh: Mesh, host: Host): readonly string[] {
  const named = scopes(mesh, host).flatMap(({ scope }) =>
    (scope.sidecar?.egress ?? []).flatMap(({ hosts }) =>
      hosts.filter((one) => !one.excluded && one.namespace !== '~' && !one.host.includes('*')).map((one) => one.host),
    ),
  );
  return [...new Set(named)].toSorted();
}
