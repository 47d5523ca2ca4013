/** What translation had to leave out or to refuse, as diagnostics: where traffic will fail, why, and what to do. */
import type { Diagnostic } from '../model/diagnostic.ts';
import { formatListen, type Host, type Upstream } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { type HostCalling, hostCalling, upstreamCalling } from './calling.ts';
import { clusterCallers } from './cluster-callers.ts';
import { clusterSecurity } from './cluster-security.ts';
import { listenerName } from './names.ts';
import { upstreamTarget } from './upstream-target.ts';

function ofUpstream(mesh: Mesh, calling: HostCalling, upstream: Upstream): Diagnostic | undefined {
  const { serviceHost, servicePort, listen } = upstream;
  const object = `upstream ${serviceHost} at ${formatListen(listen)}`;
  const who = upstreamCalling(upstream, calling);
  if (who === undefined)
    return {
      code: 'TRY0406',
      severity: 'error',
      object,
      message:
        'several identities call from this host, anybody on it can connect there, and nobody is named whose calls these are; it has no listener',
      remedy: 'Name one by "callAs" of the upstream, or give each caller a Unix socket of its own.',
    };
  const service = mesh.services.get(serviceHost);
  const target = upstreamTarget(upstream, service);
  if (target.kind === 'ambiguous') {
    const ports = service?.ports.map(({ number }) => number).join(', ') ?? '';
    return {
      code: 'TRY0402',
      severity: 'error',
      object,
      message: `${serviceHost} has several ports (${ports}) and the upstream names none; it has no listener`,
      remedy: 'Set "port" of the upstream.',
    };
  }
  if (target.kind === 'unknown') {
    const lacking = service === undefined ? 'nothing is known of it' : `it has no port ${servicePort ?? ''}`;
    return {
      code: 'TRY0401',
      severity: 'warning',
      object,
      message: `${lacking}; calls fail with 503 or a closed connection`,
      remedy: 'Register the service, describe it by a ServiceEntry, or correct the upstream.',
    };
  }
  if (upstream.mode === 'observe')
    return target.service.tls !== 'required'
      ? undefined
      : {
          code: 'TRY0403',
          severity: 'error',
          object,
          message: `${serviceHost} requires mutual TLS, and mode "observe" speaks plain text; calls fail with 503 or a closed connection`,
          remedy: 'Set "mode: outbound" or "full", or write "tls: migrating" into the Service record.',
        };
  const security = clusterSecurity(
    target.service.tls,
    target.service.identities,
    clusterCallers([who], false),
    mesh.config,
  );
  if (security !== 'refused') return undefined;
  const hasIdentity = who.identity !== undefined;
  return {
    code: 'TRY0403',
    severity: 'error',
    object,
    message: hasIdentity
      ? `${serviceHost} requires mutual TLS and nobody is named who may serve it; calls fail with 503`
      : `${serviceHost} requires mutual TLS and this host has no identity to call with; calls fail with 503`,
    remedy: hasIdentity
      ? 'Name the service accounts in its Service record or ServiceEntry.'
      : 'Configure an identity provider and "callAs", or write "tls: migrating" into the Service record.',
  };
}

/** Listeners of one address: only the first of them is made. */
function ofListeners(host: Host): readonly Diagnostic[] {
  const inbound = host.workloads.flatMap((workload) =>
    workload.inbound === undefined ? [] : [{ owner: `workload ${workload.serviceHost}`, at: workload.inbound.listen }],
  );
  const outbound = host.upstreams.map(({ serviceHost, listen }) => ({ owner: `upstream ${serviceHost}`, at: listen }));
  const owners = new Map<string, string>();
  const diagnostics: Diagnostic[] = [];
  for (const { owner, at } of [...inbound, ...outbound]) {
    const name = listenerName(at);
    const first = owners.get(name);
    owners.set(name, first ?? owner);
    if (first === undefined) continue;
    diagnostics.push({
      code: 'TRY0404',
      severity: 'error',
      object: `${owner} at ${formatListen(at)}`,
      message: `${first} listens there already and holds`,
      remedy: 'Give it another address or port.',
    });
  }
  return diagnostics;
}

/** In the order of the host's workloads and upstreams. */
export function diagnose(mesh: Mesh, host: Host): readonly Diagnostic[] {
  const calling = hostCalling(host);
  return [...ofListeners(host), ...host.upstreams.flatMap((upstream) => ofUpstream(mesh, calling, upstream) ?? [])];
}
