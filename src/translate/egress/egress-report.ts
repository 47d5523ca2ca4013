/** Where calls of services that configuration describes cannot arrive, as diagnostics. */
import type { Diagnostic } from '../../model/diagnostic.ts';
import { formatListen, type Host } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Resolution } from '../../model/service.ts';
import { ipRange, rangeKey } from '../ip-range.ts';
import { callerCalling, capturedCallers, isMeshed } from '../view/calling.ts';
import type { Target } from '../view/destination.ts';
import { scopeOf, sidecarOf } from '../view/scope.ts';
import { type EgressPort, egressPorts } from './egress-ports.ts';

const NOWHERE = 'who connects here says of no other place, and calls fail with 503 or a closed connection';

/** Why calls to a service cannot go anywhere from an address that stands for it; undefined: they can. */
function lacksPlace(
  resolution: Resolution | undefined,
  observed: boolean,
): Pick<Diagnostic, 'message' | 'remedy'> | undefined {
  if (resolution === 'ORIGINAL_DST')
    return {
      message: `resolution: NONE means that connections go where their caller wants; ${NOWHERE}`,
      remedy:
        'Write "resolution: DNS", "STATIC" or "DYNAMIC_DNS" into the ServiceEntry, or remove the upstream and capture the calls ("capture.outbound").',
    };
  if (resolution === 'DYNAMIC_DNS' && observed)
    return {
      message:
        'resolution: DYNAMIC_DNS is routing by the name that is asked for, which mode "observe" does not do; calls fail',
      remedy: 'Set "mode: outbound" of the upstream, or call the hosts themselves.',
    };
  return undefined;
}

/** Services that are wherever their callers go, offered at an address that is nobody's. */
function ofResolution({ services }: Mesh, host: Host): readonly Diagnostic[] {
  const offered = [
    ...host.upstreams.map(({ serviceHost, listen, mode }) => ({
      serviceHost,
      mode,
      object: `upstream ${serviceHost} at ${formatListen(listen)}`,
    })),
    ...(host.namedUpstreams ?? []).map(({ serviceHost, mode }) => ({
      serviceHost,
      mode,
      object: `service by name ${serviceHost}`,
    })),
  ];
  return offered.flatMap(({ serviceHost, mode, object }): readonly Diagnostic[] => {
    const lack = lacksPlace(services.get(serviceHost)?.resolution, mode === 'observe');
    return lack === undefined ? [] : [{ code: 'TRY0430', severity: 'error', object, ...lack }];
  });
}

function shadowed(port: number, first: Target, { service: { host } }: Target, where: string): Diagnostic {
  return {
    code: 'TRY0431',
    severity: 'warning',
    object: `service ${host}`,
    message: `captured connections to ${where} go to ${first.service.host}, which comes first: nothing in them says that they are for port ${port} of ${host}`,
    remedy: 'Give each of the two ServiceEntries "addresses" of its own, or another port.',
  };
}

function ofPort({ port, rest, addressed }: EgressPort): readonly Diagnostic[] {
  const [first, ...others] = rest;
  const owners = new Map<string, Target>();
  return [
    ...(first === undefined ? [] : others.map((other) => shadowed(port, first, other, `port ${port}`))),
    ...addressed.flatMap(({ addresses, ...target }) =>
      addresses.flatMap((address) => {
        const range = ipRange(address);
        const key = range === undefined ? address : rangeKey(range);
        const owner = owners.get(key);
        if (owner === undefined) owners.set(key, target);
        return owner === undefined || owner.service === target.service
          ? []
          : [shadowed(port, owner, target, `port ${port} of ${address}`)];
      }),
    ),
  ];
}

/** Services of which captured connections cannot be told from another's. */
function ofCaptured(mesh: Mesh, host: Host): readonly Diagnostic[] {
  const named = new Set((host.namedUpstreams ?? []).map(({ serviceHost }) => serviceHost));
  const found = capturedCallers(host)
    .filter(isMeshed)
    .flatMap((caller) => {
      const who = callerCalling(host, caller);
      const scope = scopeOf(sidecarOf(mesh, who), mesh.virtualServices, who);
      const ports = egressPorts(mesh.services.values(), named, (service, { number }) => scope.calls(service, number));
      return ports.flatMap(ofPort);
    });
  return [...new Map(found.map((one) => [`${one.object} ${one.message}`, one])).values()];
}

/** In the order of upstreams, services by name and ports. */
export function egressReport(mesh: Mesh, host: Host): readonly Diagnostic[] {
  return [...ofResolution(mesh, host), ...ofCaptured(mesh, host)];
}
