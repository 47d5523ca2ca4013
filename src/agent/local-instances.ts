/** From agent.yaml to what is registered in Consul. */

import type { SocketAddress } from '../model/host.ts';
import { consulNameOf } from '../model/host-names.ts';
import type { CheckSpec, LocalInstance } from '../register/instance.ts';
import { gatewayPlace, isEverywhere } from './gateway-place.ts';
import type { AgentSettings, GatewaySettings, InboundSettings, ServiceSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';

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

/** Envoy's health listener, as Consul reaches it. */
function proxyHealth({ host, envoy }: AgentSettings): LocalInstance['proxyHealth'] {
  const health = isEverywhere(envoy.healthListener.address)
    ? { ...envoy.healthListener, address: host.address }
    : envoy.healthListener;
  return { kind: 'http', url: `http://${hostPort(health)}/healthz/ready` };
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
  const { host, identity } = settings;
  if (!isProxied(mode))
    return {
      ...application,
      ...(application.port === port ? {} : { servicePort: port }),
      offersMtls: false,
      proxyHealth: undefined,
    };
  return {
    address: host.address,
    port,
    offersMtls: mode === 'full' && identity.provider !== 'none',
    proxyHealth: proxyHealth(settings),
  };
}

/** As of services that say nothing. */
const GATEWAY_DEREGISTER_MS = 72 * 3_600_000;

/** Where peers find a gateway: they know its port by the number that Gateways name. */
function gatewayReach(
  settings: AgentSettings,
  gateway: GatewaySettings,
  { port, mutualTls }: NonNullable<GatewaySettings['register']>,
): Pick<LocalInstance, 'address' | 'port' | 'servicePort' | 'offersMtls' | 'proxyHealth'> {
  const { host, identity } = settings;
  const place = gatewayPlace(gateway, port, host.address);
  return {
    ...place,
    ...(place.port === port ? {} : { servicePort: port }),
    offersMtls: mutualTls && identity.provider !== 'none',
    proxyHealth: proxyHealth(settings),
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
  const gateways = settings.gateways.flatMap((gateway): LocalInstance[] => {
    const { name, namespace, register } = gateway;
    if (register === undefined) return [];
    return [
      {
        name,
        namespace,
        consulName: consulNames.get(`${namespace}/${name}`) ?? consulNameOf(gateway),
        tags: [],
        version: gateway.labels['version'],
        labels: gateway.labels,
        weights: { passing: 1, warning: 1 },
        protocol: register.protocol === 'AUTO' ? undefined : register.protocol,
        locality,
        check: undefined,
        deregisterAfterMs: GATEWAY_DEREGISTER_MS,
        ...gatewayReach(settings, gateway, register),
      },
    ];
  });
  const services = settings.services.flatMap((service): LocalInstance[] => {
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
  return [...services, ...gateways];
}
