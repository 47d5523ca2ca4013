/** Rate limits at gateways of this host that do less there than somebody means them to. */
import type { Diagnostic } from '../../model/diagnostic.ts';
import type { GatewayRole } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { GatewayRateLimit } from '../../model/rate-limit.ts';
import { describeObject } from '../../model/resource-meta.ts';
import { asksForCertificates } from '../gateway/gateway-chains.ts';
import { type BoundServer, type GatewayPort, mergeServers } from '../gateway/gateway-servers.ts';
import { concerns, gatewayRateLimits } from './gateway-rate-limits.ts';

function warning(
  { meta }: GatewayRateLimit,
  path: string,
  rest: Pick<Diagnostic, 'code' | 'message' | 'remedy'>,
): Diagnostic {
  return { severity: 'warning', object: describeObject(meta), path, source: meta.source, ...rest };
}

function takesRequests({ kind }: GatewayPort, { server }: BoundServer): boolean {
  const passes = server.tls?.mode === 'PASSTHROUGH' || server.tls?.mode === 'AUTO_PASSTHROUGH';
  return kind === 'http' || (server.port.protocol === 'HTTPS' && !passes);
}

/** Why a limit counts nothing at all; undefined: it does count. */
function whyIdle(
  rateLimit: GatewayRateLimit,
  ports: readonly GatewayPort[],
): Pick<Diagnostic, 'path' | 'message' | 'remedy'> | undefined {
  const { gateway } = rateLimit;
  const named = ports.filter(({ number }) => rateLimit.ports.length === 0 || rateLimit.ports.includes(number));
  const at = (of: readonly GatewayPort[]): readonly (readonly [GatewayPort, BoundServer])[] =>
    of.flatMap((port) =>
      port.servers.filter((one) => one.gateway === gateway.name).map((one): [GatewayPort, BoundServer] => [port, one]),
    );
  const servers = at(named);
  const list = rateLimit.ports.join(', ');
  if (servers.length === 0)
    return {
      path: rateLimit.ports.length === 0 ? 'spec.gateway' : 'spec.ports',
      message:
        rateLimit.ports.length === 0
          ? `no server of Gateway ${gateway.name} is served`
          : `Gateway ${gateway.name} has no port ${list}`,
      remedy: `Name ports of the Gateway: ${[...new Set(at(ports).map(([{ number }]) => number))].join(', ') || 'it has none here'}.`,
    };
  const taking = servers.filter(([port, server]) => takesRequests(port, server));
  if (taking.length === 0)
    return {
      path: 'spec.gateway',
      message: `what Gateway ${gateway.name} takes there has no requests: bytes, or TLS that it does not end`,
      remedy: 'Limit servers of protocol HTTP, HTTP2, GRPC or HTTPS.',
    };
  if (!taking.some(([, server]) => concerns(rateLimit, server)))
    return {
      path: 'spec.hosts',
      message: `no server of Gateway ${gateway.name} takes ${gateway.hosts.join(', ')}`,
      remedy: 'Correct the hosts, or add them to a server of the Gateway.',
    };
  return undefined;
}

/** Limits that speak of callers alone, where no server asks for their certificates. */
function nobodysLimits(rateLimit: GatewayRateLimit, ports: readonly GatewayPort[]): readonly Diagnostic[] {
  const servers = ports
    .filter(({ number }) => rateLimit.ports.length === 0 || rateLimit.ports.includes(number))
    .flatMap((port) => port.servers.filter((one) => takesRequests(port, one) && concerns(rateLimit, one)));
  if (servers.some(({ server }) => asksForCertificates(server))) return [];
  return rateLimit.limits.flatMap(({ name, match }, i) =>
    match.length === 0 || match.some(({ callers }) => callers.length === 0)
      ? []
      : warning(rateLimit, `spec.limits[${i}].match`, {
          code: 'TRY0412',
          message: `limit ${name} never counts: no server of Gateway ${rateLimit.gateway.name} asks for a certificate that says who calls`,
          remedy: 'Write mode MUTUAL or ISTIO_MUTUAL in the Gateway, or count by a header or remoteAddress.',
        }),
  );
}

function notShared(rateLimit: GatewayRateLimit, role: GatewayRole): readonly Diagnostic[] {
  const { limits, server } = rateLimit;
  if (role.registered !== undefined || server !== undefined) return [];
  return limits.flatMap(({ name, scope }, i) =>
    scope === 'instance'
      ? []
      : warning(rateLimit, `spec.limits[${i}].scope`, {
          code: 'TRY0415',
          message: `limit ${name} is not shared: gateway ${role.namespace}/${role.name} is not registered, so that nobody knows how many there are; this host takes all of it`,
          remedy: 'Set "register" of the gateway in agent.yaml, name a "server", or remove the scope.',
        }),
  );
}

/** What the limits at one gateway cannot do. */
export function diagnoseGatewayLimits(
  mesh: Pick<Mesh, 'rateLimits' | 'gateways' | 'config'>,
  role: GatewayRole,
): readonly Diagnostic[] {
  const rateLimits = gatewayRateLimits(mesh, role);
  if (rateLimits.length === 0) return [];
  const { ports } = mergeServers(mesh.gateways, role);
  return rateLimits.flatMap((rateLimit): readonly Diagnostic[] => {
    const idle = whyIdle(rateLimit, ports);
    if (idle !== undefined) {
      const { path = 'spec.gateway', ...rest } = idle;
      return [warning(rateLimit, path, { code: 'TRY0412', ...rest })];
    }
    return [...nobodysLimits(rateLimit, ports), ...notShared(rateLimit, role)];
  });
}
