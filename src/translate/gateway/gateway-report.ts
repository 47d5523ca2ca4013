/** Which servers of Gateways this host serves, and what keeps the others from it. */
import type { Diagnostic } from '../../model/diagnostic.ts';
import type { GatewayProtocol, ServerTlsMode } from '../../model/gateway.ts';
import type { GatewayRole, Host } from '../../model/host.ts';
import { formatListen } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import { boundRules } from './gateway-rules.ts';
import { type BoundServer, type GatewayPort, mergeServers } from './gateway-servers.ts';
import { serverFiles } from './server-files.ts';

/** One server of a Gateway on this host. */
export interface ServerReport {
  /** The role, `namespace/name`. */
  readonly role: string;
  /** The Gateway, `namespace/name`. */
  readonly gateway: string;
  /** As the Gateway names it. */
  readonly port: { readonly number: number; readonly name: string; readonly protocol: GatewayProtocol };
  /** Where Envoy listens, such as `0.0.0.0:8080`. */
  readonly listen: string;
  readonly tls: ServerTlsMode | undefined;
  readonly hosts: readonly string[];
  /** The VirtualServices that speak for it, `namespace/name`, oldest first. */
  readonly virtualServices: readonly string[];
  /** Why it does not serve; undefined: it does. */
  readonly problem: { readonly code: string; readonly message: string; readonly remedy: string } | undefined;
}

const NOTHING_BOUND = {
  code: 'TRY0420',
  remedy: 'Name the Gateway in "gateways" of a VirtualService with a host of the server, visible in its namespace.',
};

function problemOf(
  host: Host,
  role: GatewayRole,
  port: GatewayPort,
  { server }: BoundServer,
  rules: readonly {
    readonly virtualService: { readonly tls?: readonly unknown[]; readonly tcp?: readonly unknown[] };
  }[],
): ServerReport['problem'] {
  const { tls } = server;
  if (role.taken?.includes(formatListen(port.listen)) === true)
    return {
      code: 'TRY0103',
      message: `${formatListen(port.listen)} is in use by another program`,
      remedy: 'Free the port, or choose another in "gateways[].ports" of agent.yaml.',
    };
  if (tls?.mode === 'AUTO_PASSTHROUGH') return undefined;
  if (tls?.mode === 'ISTIO_MUTUAL' && role.identity === undefined)
    return {
      code: 'TRY0421',
      message: 'mode ISTIO_MUTUAL needs an identity of the mesh, and this host has none',
      remedy: 'Configure an identity provider, or write mode SIMPLE.',
    };
  const ends = tls?.mode === 'SIMPLE' || tls?.mode === 'MUTUAL' || tls?.mode === 'OPTIONAL_MUTUAL';
  if (ends && serverFiles(tls, host) === undefined)
    return {
      code: 'TRY0421',
      message: 'it names a credential, and this host has no folder of credentials',
      remedy: 'Set paths.credentials in agent.yaml.',
    };
  if (rules.length === 0) {
    if (tls?.httpsRedirect === true) return undefined;
    const message =
      port.kind === 'http' || server.port.protocol === 'HTTPS'
        ? 'no VirtualService is bound to it; requests are answered 404'
        : 'no VirtualService is bound to it; connections are refused';
    return { ...NOTHING_BOUND, message };
  }
  const field = tls?.mode === 'PASSTHROUGH' ? 'tls' : 'tcp';
  const isBytes = tls?.mode === 'PASSTHROUGH' || (port.kind !== 'http' && server.port.protocol !== 'HTTPS');
  if (isBytes && !rules.some(({ virtualService }) => (virtualService[field] ?? []).length > 0))
    return {
      code: 'TRY0420',
      message: `no VirtualService that is bound to it has ${field} routes; connections are refused`,
      remedy: `Write "${field}" routes: what is not HTTP at the gateway is not routed by "http".`,
    };
  return undefined;
}

/** In the order of the host's roles, then of ports and servers. */
export function reportGateways(mesh: Mesh, host: Host): readonly ServerReport[] {
  return (host.gateways ?? []).flatMap((role) =>
    mergeServers(mesh.gateways, role).ports.flatMap((port) =>
      port.servers.map((bound): ServerReport => {
        const rules = boundRules(mesh.virtualServices, bound, role.namespace);
        return {
          role: `${role.namespace}/${role.name}`,
          gateway: bound.gateway,
          port: bound.server.port,
          listen: formatListen(port.listen),
          tls: bound.server.tls?.mode,
          hosts: [...new Set(bound.hosts.map((one) => one.host))],
          virtualServices: rules.map(({ virtualService: { meta } }) => `${meta.namespace}/${meta.name}`),
          problem: problemOf(host, role, port, bound, rules),
        };
      }),
    ),
  );
}

/** What keeps servers of this host's gateways from serving, and roles that no Gateway selects. */
export function diagnoseGateways(mesh: Mesh, host: Host): readonly Diagnostic[] {
  const roles = host.gateways ?? [];
  if (roles.length === 0) return [];
  const reports = reportGateways(mesh, host);
  return [
    ...roles.flatMap((role): readonly Diagnostic[] => {
      const id = `${role.namespace}/${role.name}`;
      const { conflicts } = mergeServers(mesh.gateways, role);
      if (reports.some((report) => report.role === id)) return conflicts;
      const labels = Object.entries(role.labels).map(([key, value]) => `${key}: ${value}`);
      return [
        ...conflicts,
        {
          code: 'TRY0420',
          severity: 'warning',
          object: `gateway ${id}`,
          message: `no Gateway selects it by its labels (${labels.join(', ')}); it listens for nothing`,
          remedy: 'Write a Gateway with such a selector, or correct "gateways[].labels" of agent.yaml.',
        },
      ];
    }),
    ...reports.flatMap(({ gateway, port, problem }): readonly Diagnostic[] => {
      if (problem === undefined) return [];
      const meta = mesh.gateways.find(({ meta: { namespace, name } }) => `${namespace}/${name}` === gateway)?.meta;
      const { code, message, remedy } = problem;
      return [
        {
          code,
          severity: code === 'TRY0420' ? 'warning' : 'error',
          object: `Gateway ${gateway}`,
          path: `port ${port.name}`,
          ...(meta === undefined ? {} : { source: meta.source }),
          message,
          remedy,
        },
      ];
    }),
  ];
}
