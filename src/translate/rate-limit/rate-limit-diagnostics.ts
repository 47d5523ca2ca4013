/** Rate limits that do nothing on this host, though somebody means them to. */
import type { Diagnostic } from '../../model/diagnostic.ts';
import { formatListen, type GatewayRole, type Host, type Workload } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import { mayLimit, type RateLimit } from '../../model/rate-limit.ts';
import { describeObject } from '../../model/resource-meta.ts';
import { inboundPorts, isProxied } from '../inbound/inbound-ports.ts';
import { protocolKind } from '../protocol-kind.ts';
import { diagnoseGatewayLimits } from './gateway-limit-diagnostics.ts';
import { gatewayRateLimits } from './gateway-rate-limits.ts';
import { serverTarget } from './rate-limit-calls.ts';
import { chooseRateLimits } from './rate-limit-choice.ts';

function diagnostic(
  { meta }: RateLimit,
  path: string,
  rest: Pick<Diagnostic, 'code' | 'message' | 'remedy'>,
): Diagnostic {
  return { severity: 'warning', object: describeObject(meta), path, source: meta.source, ...rest };
}

function unlimited(
  rateLimit: RateLimit,
  workload: Pick<Workload, 'serviceHost'>,
  why: string,
  remedy: string,
): Diagnostic {
  const message = `requests to ${workload.serviceHost} are not limited on this host: ${why}`;
  return diagnostic(rateLimit, 'spec.host', { code: 'TRY0412', message, remedy });
}

function ofWorkload(mesh: Mesh, { workloads }: Host, workload: Workload): readonly Diagnostic[] {
  const { rateLimits, services, config } = mesh;
  const service = services.get(workload.serviceHost);
  const chosen = (inbound: Parameters<typeof chooseRateLimits>[2]): readonly RateLimit[] =>
    chooseRateLimits(rateLimits, workload, inbound, service, config.rootNamespace);
  if (!isProxied(workload) || workload.mode === 'observe')
    return workload.inbound === undefined
      ? []
      : chosen(workload.inbound).map((rateLimit) =>
          unlimited(rateLimit, workload, `its mode is "${workload.mode ?? 'full'}"`, 'Set "mode: full" in agent.yaml.'),
        );
  return inboundPorts(mesh, workload, workloads)
    .filter(({ taken }) => protocolKind(taken.protocol) === 'tcp')
    .flatMap(({ taken }) =>
      chosen(taken).map((rateLimit) =>
        unlimited(
          rateLimit,
          workload,
          `${formatListen(taken.listen)} carries ${taken.protocol}, which has no requests`,
          'Set the protocol of the port to HTTP, HTTP2 or GRPC, or name other "ports".',
        ),
      ),
    );
}

/** What a gateway takes in is limited by the name of its Gateway, since its service has no application. */
function ofGateway(mesh: Mesh, role: GatewayRole): readonly Diagnostic[] {
  const { rateLimits, config } = mesh;
  const asService = rateLimits
    .filter((one) => one.host === role.serviceHost && mayLimit(one, role.namespace, config.rootNamespace))
    .map((rateLimit) =>
      unlimited(rateLimit, role, 'it is a gateway', 'Write "gateway", the name of its Gateway, instead of "host".'),
    );
  return [...asService, ...diagnoseGatewayLimits(mesh, role)];
}

/** What the limits before the workloads of `host` and at its gateways cannot do. */
export function diagnoseRateLimits(mesh: Mesh, host: Host): readonly Diagnostic[] {
  if (mesh.rateLimits.length === 0) return [];
  const own = new Set<string | undefined>(host.workloads.map(({ serviceHost }) => serviceHost));
  const atGateways = new Set<RateLimit>((host.gateways ?? []).flatMap((role) => gatewayRateLimits(mesh, role)));
  const servers = mesh.rateLimits.flatMap((rateLimit) => {
    const { server } = rateLimit;
    const isHere = own.has(rateLimit.host) || atGateways.has(rateLimit);
    if (server === undefined || !isHere || serverTarget(mesh, server) !== undefined) return [];
    const service = mesh.services.get(server.host);
    const ports = service?.ports.map(({ number }) => number).join(', ') ?? '';
    return [
      diagnostic(rateLimit, 'spec.server', {
        code: 'TRY0413',
        message: `${
          service === undefined
            ? `nothing is known of ${server.host}`
            : server.port === undefined
              ? `${server.host} has several ports (${ports})`
              : `${server.host} has no port ${server.port}`
        }; requests are ${server.failClosed ? 'refused with 503' : 'not limited'}`,
        remedy:
          service === undefined
            ? 'Correct the name, or register the service.'
            : 'Set "server.port" to one of its ports.',
      }),
    ];
  });
  return [
    ...servers,
    ...host.workloads.flatMap((workload) => ofWorkload(mesh, host, workload)),
    ...(host.gateways ?? []).flatMap((role) => ofGateway(mesh, role)),
  ];
}
