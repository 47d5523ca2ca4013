/** The route configuration of HTTP at a gateway: a virtual host for each host that its servers and VirtualServices share. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.ts';
import type { Resource } from '../../xds/resource.ts';
import { isCatchAll, ROUTE_CONFIG_RULES, type Route } from '../http/http-routes.ts';
import type { Memo } from '../memo.ts';
import type { FleetShare } from '../rate-limit/rate-limit-bucket.ts';
import { type AppliedLimit, limitSettings, withoutLimits } from '../rate-limit/rate-limit-filters.ts';
import type { BoundRule } from './gateway-rules.ts';
import type { BoundServer } from './gateway-servers.ts';

/** A VirtualService at a server. */
export interface RuledRoutes {
  readonly rule: BoundRule;
  /** What decides the routes. */
  readonly inputs: readonly unknown[];
  readonly routes: () => readonly Route[];
}

/** A server with the rules that are bound to it. */
export interface RuledServer {
  readonly bound: BoundServer;
  readonly rules: readonly RuledRoutes[];
}

export interface GatewayRoutesSpec {
  readonly name: string;
  /** As Gateways name it. */
  readonly port: number;
  readonly servers: readonly RuledServer[];
  /** Absent: none. */
  readonly limits?: readonly AppliedLimit[];
  /** The gateway's part of limits of the fleet; absent: the whole. */
  readonly share?: FleetShare | undefined;
}

interface Host {
  readonly rules: RuledRoutes[];
  /** Those whose servers have it. */
  readonly gateways: Set<string>;
  onlyTls: boolean;
}

function hostsOf(servers: readonly RuledServer[]): ReadonlyMap<string, Host> {
  const hosts = new Map<string, Host>();
  const of = (name: string, gateway: string): Host => {
    const known = hosts.get(name) ?? { rules: [], gateways: new Set<string>(), onlyTls: false };
    known.gateways.add(gateway);
    hosts.set(name, known);
    return known;
  };
  for (const { bound, rules } of servers) {
    const onlyTls = bound.server.tls?.httpsRedirect === true;
    for (const ruled of rules)
      for (const name of ruled.rule.hosts) {
        const host = of(name, bound.gateway);
        host.rules.push(ruled);
        host.onlyTls ||= onlyTls;
      }
    if (onlyTls) for (const { host } of bound.hosts) of(host, bound.gateway).onlyTls = true;
  }
  return hosts;
}

function virtualHost(
  name: string,
  port: number,
  { rules, onlyTls }: Host,
  foreign: readonly AppliedLimit[],
): MessageInitShape<typeof VirtualHostSchema> {
  const routes = rules.flatMap((ruled) => ruled.routes());
  return {
    name: `${name}:${port}`,
    domains: [name],
    routes: [...routes.filter((route) => !isCatchAll(route)), ...routes.filter(isCatchAll)],
    includeRequestAttemptCount: true,
    ...(onlyTls && { requireTls: VirtualHost_TlsRequirementType.ALL }),
    ...(foreign.length > 0 && { typedPerFilterConfig: withoutLimits(foreign) }),
  };
}

function encode(init: MessageInitShape<typeof VirtualHostSchema>): Uint8Array {
  return toBinary(VirtualHostSchema, create(VirtualHostSchema, init));
}

/**
 * Routes of several VirtualServices for one host follow each other, oldest first; those that take everything come last.
 * Without any host every request is answered 404. The port in a request's Host does not matter. A limit has one bucket
 * for all hosts; those of other Gateways at the port are not counted.
 * @param made the encoded virtual hosts of the last time; afterwards those of this time
 */
export function gatewayRoutes(
  { name, port, servers, limits = [], share }: GatewayRoutesSpec,
  made: Memo<Uint8Array>,
): Resource {
  const hosts = [...hostsOf(servers)].map(([host, held]) => {
    const foreign = limits.filter(({ gateway }) => gateway === undefined || !held.gateways.has(gateway.name));
    const off = foreign.map((limit) => limit.name).join(' ');
    return made.get(host, [port, held.onlyTls, off, ...held.rules.flatMap(({ inputs }) => inputs)], () =>
      encode(virtualHost(host, port, held, foreign)),
    );
  });
  made.sweep();
  const rest = toBinary(
    RouteConfigurationSchema,
    create(RouteConfigurationSchema, {
      name,
      ...ROUTE_CONFIG_RULES,
      ignorePortInHostMatching: true,
      ...(limits.length > 0 && { typedPerFilterConfig: limitSettings(limits, share) }),
    }),
  );
  const writer = new BinaryWriter().raw(rest);
  // A thousand hosts may share a port: encoding them all for a change of one would take a tenth of a second.
  for (const host of hosts.length === 0 ? [encode({ name: `blackhole:${port}`, domains: ['*'] })] : hosts)
    writer.tag(RouteConfigurationSchema.field.virtualHosts.number, WireType.LengthDelimited).bytes(host);
  return { name, value: writer.finish() };
}
