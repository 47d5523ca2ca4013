/** From agent.yaml to what is registered in Consul. */

import type { SocketAddress } from '../model/host.ts';
import { consulNameOf } from '../model/host-names.ts';
import type { CheckSpec, LocalInstance } from '../register/instance.ts';
import type { AgentSettings, InboundSettings, ServiceSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

function hostPort({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function at({ address, port }: SocketAddress, other: number | undefined): SocketAddress {
  return { address, port: other ?? port };
}

function checkSpec({ check }: ServiceSettings, application: SocketAddress): CheckSpec | undefined {
  if (check === undefined) return undefined;
  switch (check.kind) {
    case 'http': {
      const { port, path, scheme = 'http', ...rest } = check;
      return { ...rest, url: `${scheme}://${hostPort(at(application, port))}${path}` };
    }
    case 'tcp':
    case 'grpc': {
      const { port, ...rest } = check;
      return { ...rest, address: hostPort(at(application, port)) };
    }
    case 'command': {
      const [program = '', ...args] = check.command;
      return { ...check, command: [program, ...args] };
    }
    case 'ttl':
      return check;
  }
}

/**
 * What peers are told of the port, by mode. In `full` and `observe` they dial Envoy, whose health Consul checks as well;
 * in `outbound` and `off` they dial the application, with the same port of the service as ever. Only `full` offers
 * mutual TLS.
 */
function reach(
  settings: AgentSettings,
  { mode }: ServiceSettings,
  { port, application }: InboundSettings,
): Pick<LocalInstance, 'address' | 'port' | 'servicePort' | 'offersMtls' | 'proxyHealth'> {
  const { host, envoy, identity } = settings;
  if (!isProxied(mode))
    return {
      ...application,
      ...(application.port === port ? {} : { servicePort: port }),
      offersMtls: false,
      proxyHealth: undefined,
    };
  const health = WILDCARDS.has(envoy.healthListener.address)
    ? { ...envoy.healthListener, address: host.address }
    : envoy.healthListener;
  return {
    address: host.address,
    port,
    offersMtls: mode === 'full' && identity.provider !== 'none',
    proxyHealth: { kind: 'http', url: `http://${hostPort(health)}/healthz/ready` },
  };
}

/**
 * The instances that this host registers.
 * @param consulNames names that `Service` records give to services, by `namespace/name`
 */
export function localInstances(
  settings: AgentSettings,
  consulNames: ReadonlyMap<string, string>,
): readonly LocalInstance[] {
  const { host } = settings;
  const locality =
    host.locality === undefined
      ? undefined
      : [host.locality.region, host.locality.zone, host.locality.subzone].filter((part) => part !== '').join('/');
  return settings.services.flatMap((service): LocalInstance[] => {
    const { inbound } = service;
    if (inbound === undefined) return [];
    return [
      {
        name: service.name,
        namespace: service.namespace,
        consulName: consulNames.get(`${service.namespace}/${service.name}`) ?? consulNameOf(service),
        tags: service.tags,
        version: service.version,
        labels: service.labels,
        weights: service.weights,
        protocol: inbound.protocol === 'AUTO' ? undefined : inbound.protocol,
        locality,
        check: checkSpec(service, inbound.application),
        deregisterAfterMs: service.deregisterCriticalServiceAfterMs,
        ...reach(settings, service, inbound),
      },
    ];
  });
}
