/**
 * What a host in the role of a gateway listens for: the servers of the Gateways that select it, merged by port.
 * https://istio.io/latest/docs/reference/config/networking/gateway/
 */
import type { Diagnostic } from '../../model/diagnostic.ts';
import type { Gateway, GatewayHost, GatewayProtocol, GatewayServer } from '../../model/gateway.ts';
import type { GatewayRole, SocketAddress } from '../../model/host.ts';
import { hasLabels } from '../../model/labels.ts';
import { describeObject } from '../../model/resource-meta.ts';

/** Of the servers of one port only those of one kind can be told apart: by host, by server name, not at all. */
export type GatewayPortKind = 'http' | 'tls' | 'tcp';

export interface BoundServer {
  /** `namespace/name`, as VirtualServices name it. */
  readonly gateway: string;
  readonly server: GatewayServer;
  /** Those that no older server of the port has; never empty. */
  readonly hosts: readonly GatewayHost[];
}

export interface GatewayPort {
  /** As the Gateways name it. */
  readonly number: number;
  /** Where Envoy listens for it. */
  readonly listen: SocketAddress;
  readonly kind: GatewayPortKind;
  /** Those of the oldest Gateway first; one alone where `kind` is `tcp`. */
  readonly servers: readonly BoundServer[];
}

export interface MergedServers {
  readonly ports: readonly GatewayPort[];
  /** What had to be left out: `IST0145`. */
  readonly conflicts: readonly Diagnostic[];
}

const KINDS: Readonly<Record<GatewayProtocol, GatewayPortKind>> = {
  HTTP: 'http',
  HTTP2: 'http',
  GRPC: 'http',
  'GRPC-WEB': 'http',
  HTTPS: 'tls',
  TLS: 'tls',
  TCP: 'tcp',
  MONGO: 'tcp',
};

/** The Gateways of a role; in Istio a selector looks at labels alone, whatever the namespace. */
export function selectingGateways(gateways: readonly Gateway[], role: GatewayRole): readonly Gateway[] {
  return gateways.filter(({ selector }) => hasLabels(role.labels, selector));
}

interface Merging {
  readonly number: number;
  readonly listen: SocketAddress;
  readonly kind: GatewayPortKind;
  readonly servers: BoundServer[];
  /** Who has a server name; of HTTP ports nobody, since the routes of one host are joined. */
  readonly owners: Map<string, string>;
}

/** @param gateways all of the mesh, oldest first: the first that asks for a port or a server name holds */
export function mergeServers(gateways: readonly Gateway[], role: GatewayRole): MergedServers {
  const ports = new Map<string, Merging>();
  const conflicts: Diagnostic[] = [];
  for (const { meta, servers } of selectingGateways(gateways, role)) {
    const gateway = `${meta.namespace}/${meta.name}`;
    for (const [i, server] of servers.entries()) {
      const conflict = (message: string, remedy: string): void => {
        const object = describeObject(meta);
        const path = `spec.servers[${i}]`;
        conflicts.push({ code: 'IST0145', severity: 'error', object, path, source: meta.source, message, remedy });
      };
      const { number } = server.port;
      const listen = { address: server.bind ?? role.address, port: role.ports?.[number] ?? number };
      const kind = KINDS[server.port.protocol];
      const key = `${listen.address} ${listen.port}`;
      const port = ports.get(key) ?? { number, listen, kind, servers: [], owners: new Map<string, string>() };
      const [first] = port.servers;
      if (first !== undefined && port.number !== number) {
        conflict(
          `port ${number} is served at port ${listen.port}, where ${first.gateway} is served for its port ${port.number}`,
          'Give the two other ports in "gateways[].ports" of agent.yaml.',
        );
        continue;
      }
      if (first !== undefined && (port.kind !== kind || kind === 'tcp')) {
        const its = `${first.server.port.protocol} of Gateway ${first.gateway}`;
        conflict(
          `port ${number} is ${its} already; ${server.port.protocol} cannot be told from it`,
          'Use another port.',
        );
        continue;
      }
      const taken = (host: string): string | undefined => (kind === 'tls' ? port.owners.get(host) : undefined);
      const hosts = server.hosts.filter(({ host }) => taken(host) === undefined);
      for (const { host } of server.hosts) {
        const owner = taken(host);
        if (owner !== undefined)
          conflict(`${host} is served at port ${number} by Gateway ${owner} already, which holds`, 'Remove the host.');
      }
      if (hosts.length === 0) continue;
      for (const { host } of hosts) port.owners.set(host, gateway);
      port.servers.push({ gateway, server, hosts });
      ports.set(key, port);
    }
  }
  const merged = [...ports.values()].map(({ number, listen, kind, servers }) => ({ number, listen, kind, servers }));
  return { ports: merged, conflicts };
}
