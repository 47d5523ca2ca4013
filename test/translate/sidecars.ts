/** A caller's and a server's Envoy with an application behind it, on translated resources. */
import type { TestContext } from 'node:test';
import type { Upstream } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import type { Protocol, Service } from '../../src/model/service.ts';
import type { SpiffeId } from '../../src/model/spiffe-id.ts';
import { freePorts } from '../support/ports.ts';
import type { TestAuthority } from './certificates.ts';
import { type RunningEnvoy, startEnvoy } from './envoy.ts';
import { endpoint, host, mesh, service, spiffe, upstream, workload } from './mesh-literals.ts';

export interface Sidecars {
  /** Where the caller's Envoy offers the service. */
  readonly upstreamPort: number;
  /** Where the server's Envoy listens. */
  readonly inboundPort: number;
  readonly client: RunningEnvoy;
  readonly server: RunningEnvoy;
}

export interface SidecarOptions {
  readonly authority: TestAuthority;
  readonly protocol: Protocol;
  /** What the inbound side is told, where it differs. */
  readonly inboundProtocol?: Protocol;
  /** Starts the application on a port. */
  readonly application: (port: number) => Promise<unknown>;
  readonly service?: Partial<Service>;
  readonly mesh?: Partial<Mesh>;
  readonly upstream?: Partial<Upstream>;
  /** As whom the server's Envoy answers; default: the identity that the service is said to have. */
  readonly serverIdentity?: SpiffeId;
}

export const REVIEWS = 'reviews';

/** The service `reviews` with one instance, called as `caller`. */
export async function startSidecars(t: TestContext, options: SidecarOptions): Promise<Sidecars> {
  const { authority, protocol } = options;
  const [upstreamPort = 0, inboundPort = 0, applicationPort = 0] = await freePorts(3);
  await options.application(applicationPort);
  const reviews = service(REVIEWS, protocol, options.service);
  const both = mesh([[reviews, [endpoint('127.0.0.1', inboundPort)]]], options.mesh);
  const identity = options.serverIdentity ?? spiffe(REVIEWS);
  const instance = workload(REVIEWS, options.inboundProtocol ?? protocol, inboundPort, applicationPort, { identity });
  const [server, client] = await Promise.all([
    startEnvoy(t, both, host({ nodeId: 'server', workloads: [instance] }), await authority.secrets(identity)),
    startEnvoy(
      t,
      both,
      host({ nodeId: 'client', upstreams: [upstream(REVIEWS, upstreamPort, options.upstream)] }),
      await authority.secrets(spiffe('caller')),
    ),
  ]);
  return { upstreamPort, inboundPort, client, server };
}
