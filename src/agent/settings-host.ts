/** From agent.yaml and the mesh's configuration to the `Host` that translation works for. */
import { TrysailError } from '../lib/errors.ts';
import type { Host, Workload } from '../model/host.ts';
import { canonicalHost, DEFAULT_NAMESPACE, serviceHosts } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { type SpiffeId, workloadSpiffeId } from '../model/spiffe-id.ts';
import type { Account, AgentSettings } from './settings.ts';

function identityOf(account: Account, trustDomain: string): SpiffeId {
  const id = workloadSpiffeId({ trustDomain, ...account });
  if (id !== undefined) return id;
  throw new TrysailError(
    'IDENTITY_INVALID',
    `trust domain ${JSON.stringify(trustDomain)} with account ${account.namespace}/${account.serviceAccount} makes no valid SPIFFE id`,
    { remedy: 'Correct trustDomain in meshconfig.yaml: lower-case letters, digits, ".", "_" and "-".' },
  );
}

/**
 * What runs on this host and what it calls, with canonical host names and SPIFFE ids.
 * @throws TrysailError `IDENTITY_INVALID` when the trust domain cannot be part of a SPIFFE id
 */
export function toHost(settings: AgentSettings, config: Pick<MeshConfig, 'trustDomain' | 'serviceHosts'>): Host {
  const { host, callAs } = settings;
  const workloads = settings.services.map(
    (service): Workload => ({
      namespace: service.namespace,
      service: service.name,
      serviceHost: serviceHosts(config, service)[0],
      identity: identityOf(service, config.trustDomain),
      labels: service.labels,
      inbound:
        service.inbound === undefined
          ? undefined
          : {
              listen: { address: host.address, port: service.inbound.port },
              protocol: service.inbound.protocol,
              application: service.inbound.application,
            },
    }),
  );
  const [first] = settings.services;
  const namespace = callAs?.namespace ?? first?.namespace ?? DEFAULT_NAMESPACE;
  return {
    nodeId: host.name,
    nodeCluster: first === undefined ? host.name : `${first.name}.${first.namespace}`,
    locality: host.locality ?? { region: '', zone: '', subzone: '' },
    workloads,
    upstreams: settings.upstreams.map(({ service, port, listen }) => ({
      serviceHost:
        typeof service === 'string' ? canonicalHost(config, service, namespace) : serviceHosts(config, service)[0],
      servicePort: port,
      listen,
    })),
    callerIdentity: callAs === undefined ? undefined : identityOf(callAs, config.trustDomain),
    ...(settings.identity.provider === 'none' ? { withoutCertificates: true } : {}),
    healthListener: settings.envoy.healthListener,
  };
}
