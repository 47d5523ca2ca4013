/** Services and upstreams of this host for the local API's `Status`. */
import type { GatewayServerStatus, HealthStatus, ServiceStatus, UpstreamStatus } from '../api/status.ts';
import type { TrysailError } from '../lib/errors.ts';
import { formatListen, type Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import type { ServiceTls } from '../model/service.ts';
import type { RegisteredHealth } from '../register/entry.ts';
import type { RegistrarStatus } from '../register/registrar-status.ts';
import { reportGateways as gatewayServers } from '../translate/gateway/gateway-report.ts';
import { upstreamTarget } from '../translate/outbound/upstream-target.ts';
import { serviceKey } from './inbound-ways.ts';
import type { AgentSettings } from './settings.ts';

/** An error with what to do about it: for an ACL, the rule that the token lacks. */
export function withRemedy({ message, remedy }: TrysailError): string {
  return remedy === undefined ? message : `${message} ${remedy}`;
}

function healthOf(health: RegisteredHealth): HealthStatus {
  return health === 'none' ? { state: 'unknown', output: 'no check is configured' } : { state: health };
}

/**
 * @param registrar undefined with `registry: files`
 * @param bypassable by service: where others reach its application past the proxy
 * @param proxy what the agent itself sees of Envoy, where Consul is not asked
 */
export function reportServices(
  settings: AgentSettings,
  host: Host,
  registrar: RegistrarStatus | undefined,
  proxy: HealthStatus,
  bypassable: ReadonlyMap<string, readonly string[]> = new Map(),
): readonly ServiceStatus[] {
  const registered = new Map(registrar?.services.map((service) => [service.instance, service]));
  return settings.services.map((service, i): ServiceStatus => {
    const { inbound } = service;
    const key = serviceKey(service);
    const known = registered.get(key);
    const open = bypassable.get(key);
    const identity = host.workloads[i]?.identity;
    return {
      namespace: service.namespace,
      name: service.name,
      ...(service.version === undefined ? {} : { version: service.version }),
      ...(identity === undefined || settings.identity.provider === 'none' ? {} : { identity }),
      ...(inbound === undefined ? {} : { port: inbound.port }),
      mode: service.mode,
      ...(open === undefined ? {} : { bypassable: open }),
      ...(inbound === undefined || registrar === undefined ? {} : { registered: known?.registered ?? false }),
      ...(known?.error === undefined ? {} : { registrationError: withRemedy(known.error) }),
      application: known === undefined ? { state: 'unknown' } : healthOf(known.application),
      proxy: known === undefined ? proxy : healthOf(known.proxy),
    };
  });
}

/** One row for each server of the Gateways that this host serves, in the order of `gatewayServers`. */
export function reportGateways(host: Host, mesh: Mesh): readonly GatewayServerStatus[] {
  return gatewayServers(mesh, host).map(
    ({ role, gateway, port, listen, tls, hosts, virtualServices, problem }): GatewayServerStatus => ({
      role,
      gateway,
      port: port.number,
      protocol: port.protocol,
      listen,
      ...(tls === undefined ? {} : { tls }),
      hosts,
      virtualServices,
      serving: problem === undefined,
      ...(problem === undefined ? {} : { problem: problem.message }),
    }),
  );
}

const TLS: Readonly<Record<ServiceTls, UpstreamStatus['tls']>> = {
  required: 'mtls',
  migrating: 'mixed',
  plain: 'plain',
};

/** One row for each upstream of agent.yaml, in that order; one that nobody knows has no endpoints. */
export function reportUpstreams(host: Host, mesh: Mesh): readonly UpstreamStatus[] {
  return host.upstreams.map((upstream): UpstreamStatus => {
    const { serviceHost, listen } = upstream;
    const service = mesh.services.get(serviceHost);
    const target = upstreamTarget(upstream, service);
    const endpoints = mesh.endpoints.get(serviceHost) ?? [];
    return {
      service: serviceHost,
      ...(target.kind === 'known' ? { port: target.port.number } : {}),
      listen: formatListen(listen),
      endpoints: { healthy: endpoints.filter(({ health }) => health === 'HEALTHY').length, total: endpoints.length },
      tls: TLS[service?.tls ?? 'plain'],
    };
  });
}
