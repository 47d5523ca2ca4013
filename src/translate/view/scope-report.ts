/** Declared upstreams that their callers may not call: a Sidecar, or the service's `exportTo`, keeps them out of scope. */
import type { Diagnostic } from '../../model/diagnostic.ts';
import { formatListen, type Host } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Service } from '../../model/service.ts';
import {
  bindableAddresses,
  type Calling,
  callerCalling,
  capturedCallers,
  hostCalling,
  isMeshed,
  upstreamCalling,
} from './calling.ts';
import { type Scope, scopeOf, sidecarOf } from './scope.ts';

function outOfScope(object: string, { host }: Service, { sidecar }: Scope, { namespace }: Calling): Diagnostic {
  return {
    code: 'TRY0432',
    severity: 'warning',
    object,
    ...(sidecar === undefined ? {} : { source: sidecar.meta.source }),
    message:
      sidecar === undefined
        ? `${host} is not exported to ${namespace}, the namespace of its caller; calls fail`
        : `the Sidecar ${sidecar.meta.namespace}/${sidecar.meta.name} keeps ${host} out of its caller’s scope; calls fail`,
    remedy:
      sidecar === undefined
        ? 'Add the namespace to "exportTo" of the service, or remove the upstream.'
        : 'Add the host to "egress[].hosts" of the Sidecar, or remove the upstream.',
  };
}

/** In the order of upstreams and services by name; what the mesh only observes is called by no rules. */
export function scopeReport(mesh: Mesh, host: Host): readonly Diagnostic[] {
  const calling = hostCalling(host);
  const scopes = new Map<string, Scope>();
  const scope = (who: Calling): Scope => {
    const key = `${who.namespace}/${who.workload}`;
    const known = scopes.get(key) ?? scopeOf(sidecarOf(mesh, who), mesh.virtualServices, who);
    scopes.set(key, known);
    return known;
  };
  const judge = (
    object: string,
    serviceHost: string,
    who: Calling | undefined,
    port?: number,
  ): readonly Diagnostic[] => {
    const service = mesh.services.get(serviceHost);
    if (service === undefined || who === undefined || service.ports.length === 0) return [];
    return scope(who).calls(service, port) ? [] : [outOfScope(object, service, scope(who), who)];
  };
  const callers = capturedCallers(host).filter(isMeshed);
  return [
    ...host.upstreams.flatMap((upstream) =>
      upstream.mode === 'observe'
        ? []
        : judge(
            `upstream ${upstream.serviceHost} at ${formatListen(upstream.listen)}`,
            upstream.serviceHost,
            upstreamCalling(host, upstream, calling),
            upstream.servicePort,
          ),
    ),
    ...(host.namedUpstreams ?? []).flatMap((upstream) => {
      if (upstream.mode === 'observe') return [];
      const object = `service by name ${upstream.serviceHost}`;
      const bound = calling.bindsNames && bindableAddresses(upstream).length > 0;
      return [
        ...(bound ? judge(object, upstream.serviceHost, calling.unnamed) : []),
        ...callers.flatMap((caller) =>
          judge(
            `${object}, called from captured port ${caller.capturePort}`,
            upstream.serviceHost,
            callerCalling(host, caller),
          ),
        ),
      ];
    }),
  ];
}
