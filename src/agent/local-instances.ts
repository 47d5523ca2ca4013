/** From agent.yaml to what is registered in Consul. */

import type { SocketAddress } from '../model/host.ts';
import { consulNameOf } from '../model/host-names.ts';
import type { CheckSpec, LocalInstance } from '../register/instance.ts';
import type { AgentSettings, ServiceSettings } from './settings.ts';

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

function hostPort({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function checkSpec({ check }: ServiceSettings, application: SocketAddress): CheckSpec | undefined {
  if (check === undefined) return undefined;
  switch (check.kind) {
    case 'http': {
      const { kind, path, intervalMs, timeoutMs } = check;
      return { kind, url: `http://${hostPort(application)}${path}`, intervalMs, timeoutMs };
    }
    case 'tcp':
    case 'grpc':
      return { ...check, address: hostPort(application) };
    case 'command': {
      const [program = '', ...args] = check.command;
      return { ...check, command: [program, ...args] };
    }
    case 'ttl':
      return check;
  }
}

/**
 * The instances that this host registers.
 * @param consulNames names that `Service` records give to services, by `namespace/name`
 */
export function localInstances(
  settings: AgentSettings,
  consulNames: ReadonlyMap<string, string>,
): readonly LocalInstance[] {
  const { host, envoy, identity } = settings;
  const health = WILDCARDS.has(envoy.healthListener.address)
    ? { ...envoy.healthListener, address: host.address }
    : envoy.healthListener;
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
        address: host.address,
        port: inbound.port,
        tags: service.tags,
        version: service.version,
        labels: service.labels,
        weights: service.weights,
        protocol: inbound.protocol === 'AUTO' ? undefined : inbound.protocol,
        locality,
        offersMtls: identity.provider !== 'none',
        check: checkSpec(service, inbound.application),
        proxyHealth: { kind: 'http', url: `http://${hostPort(health)}/healthz/ready` },
        deregisterAfterMs: service.deregisterCriticalServiceAfterMs,
      },
    ];
  });
}
