/** An application with a listener of mode `observe` in front of it, for each protocol. */
import type { TestContext } from 'node:test';
import type { Host } from '../../src/model/host.ts';
import type { Protocol } from '../../src/model/service.ts';
import { freePorts } from '../support/ports.ts';
import { type RunningEnvoy, startEnvoy } from '../translate/envoy.ts';
import { endpoint, host, mesh, service, upstream, workload } from '../translate/mesh-literals.ts';

export interface Observed {
  readonly envoy: RunningEnvoy;
  /** Ports of the inbound listeners, by protocol. */
  readonly inbound: Readonly<Record<'HTTP' | 'HTTP2' | 'TCP' | 'AUTO', number>>;
  /** Ports of upstreams of a service of which the application is the instance. */
  readonly outbound: Readonly<Record<'HTTP' | 'HTTP2' | 'TCP' | 'AUTO', number>>;
}

const PROTOCOLS = ['HTTP', 'HTTP2', 'TCP', 'AUTO'] as const satisfies readonly Protocol[];

/** One Envoy in mode `observe`, before the application at `applicationPort` and as its caller's. */
export async function observe(t: TestContext, applicationPort: number): Promise<Observed> {
  const ports = await freePorts(2 * PROTOCOLS.length);
  const port = (direction: number, i: number): number => ports[direction * PROTOCOLS.length + i] ?? 0;
  const services = PROTOCOLS.map((protocol) => service(`called-${protocol.toLowerCase()}`, protocol, { tls: 'plain' }));
  const observed: Host = host({
    workloads: PROTOCOLS.map((protocol, i) =>
      workload(`app-${protocol.toLowerCase()}`, protocol, port(0, i), applicationPort, { mode: 'observe' }),
    ),
    upstreams: services.map(({ name }, i) => upstream(name, port(1, i), { mode: 'observe' })),
  });
  const all = mesh(services.map((item) => [item, [endpoint('127.0.0.1', applicationPort)]]));
  const byProtocol = (direction: number): Observed['inbound'] => ({
    HTTP: port(direction, 0),
    HTTP2: port(direction, 1),
    TCP: port(direction, 2),
    AUTO: port(direction, 3),
  });
  return { envoy: await startEnvoy(t, all, observed, []), inbound: byProtocol(0), outbound: byProtocol(1) };
}
