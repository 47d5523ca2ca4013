/** Gateway: from Istio's form to the model's, with the rules that its schema cannot say. */
import type { Path } from '../../lib/yaml-document.ts';
import type { Gateway, GatewayHost, GatewayProtocol, GatewayServer } from '../../model/gateway.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';
import { hostProblem, isIpAddress } from '../field-types.ts';
import { GATEWAY_UNSUPPORTED, gatewaySchema, type ServerSpec } from './gateway-schema.ts';
import { buildServerTls } from './gateway-tls.ts';
import { defineKind, NETWORKING_VERSIONS, type Report } from './kind.ts';

const PROTOCOLS: Readonly<Record<string, GatewayProtocol>> = {
  HTTP: 'HTTP',
  HTTP2: 'HTTP2',
  GRPC: 'GRPC',
  'GRPC-WEB': 'GRPC-WEB',
  HTTP_PROXY: 'HTTP',
  HTTPS: 'HTTPS',
  TLS: 'TLS',
  TCP: 'TCP',
  MONGO: 'MONGO',
};

const NAMESPACE = /^(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?|[*.])$/;

/** `ns/host`, `./host`, `*` + `/host`; a bare host is anybody's. */
function buildHost(text: string, meta: ResourceMeta, path: Path, report: Report): GatewayHost {
  const slash = text.indexOf('/');
  const namespace = slash === -1 ? '*' : text.slice(0, slash);
  const host = text.slice(slash + 1);
  if (!NAMESPACE.test(namespace))
    report(
      path,
      `"${text}" does not begin with a namespace`,
      'Write namespace/host, ./host for the own namespace, or the host alone.',
    );
  const problem = hostProblem(host);
  if (problem !== undefined && NAMESPACE.test(namespace))
    report(path, `the host "${host}" ${problem}`, 'Write a DNS name such as shop.example.com, *.example.com, or *.');
  return { namespace: namespace === '.' ? meta.namespace : namespace, host: host.toLowerCase() };
}

function buildServer(spec: ServerSpec, meta: ResourceMeta, path: Path, report: Report): GatewayServer {
  const protocol = PROTOCOLS[spec.port.protocol.toUpperCase()];
  if (protocol === undefined)
    report(
      [...path, 'port', 'protocol'],
      `"${spec.port.protocol}" is not a protocol of a gateway`,
      `Use one of: ${Object.keys(PROTOCOLS).join(', ')}.`,
    );
  if (spec.bind !== undefined && !isIpAddress(spec.bind))
    report(
      [...path, 'bind'],
      `"${spec.bind}" is not an IP address`,
      'Write an address of the gateway host, or leave it out.',
    );
  if (spec.hosts.length === 0)
    report([...path, 'hosts'], 'is empty', 'Name the hosts that the server is for, or write "*".');
  return {
    name: spec.name,
    port: { number: spec.port.number, name: spec.port.name, protocol: protocol ?? 'TCP' },
    bind: spec.bind,
    hosts: spec.hosts.map((text, i) => buildHost(text, meta, [...path, 'hosts', i], report)),
    tls: protocol === undefined ? undefined : buildServerTls(spec, protocol, path, report),
  };
}

/** Hosts are as written, in lower case. */
export const gatewayKind = defineKind({
  kind: 'Gateway',
  apiVersions: NETWORKING_VERSIONS,
  schema: gatewaySchema,
  unsupported: GATEWAY_UNSUPPORTED,
  build(meta, spec, report): Gateway {
    if (spec.servers.length === 0) report(['servers'], 'is empty', 'Write at least one server.');
    for (const [i, { port }] of spec.servers.entries())
      if (spec.servers.findIndex((other) => other.port.name === port.name) < i)
        report(
          ['servers', i, 'port', 'name'],
          `the port name "${port.name}" stands here twice`,
          'Give each server a port name of its own: route configurations are called after it.',
        );
    return {
      meta,
      selector: spec.selector ?? {},
      servers: spec.servers.map((server, i) => buildServer(server, meta, ['servers', i], report)),
    };
  },
});
