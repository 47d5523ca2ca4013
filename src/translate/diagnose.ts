/** What translation had to leave out or to refuse, as diagnostics: where traffic will fail, why, and what to do. */
import type { ClientTls } from '../model/destination-rule.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { formatListen, type Host, type NamedUpstream, type Upstream } from '../model/host.ts';
import { wholeHost } from '../model/host-names.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Service, ServicePort } from '../model/service.ts';
import { MESH_GATEWAY } from '../model/virtual-service.ts';
import { clusterCallers } from './clusters/cluster-callers.ts';
import { securityOf } from './clusters/cluster-security.ts';
import { chooseRules, effectivePolicy, joinRules } from './clusters/traffic-policy.ts';
import { egressReport } from './egress/egress-report.ts';
import { diagnoseGateways } from './gateway/gateway-report.ts';
import { gatewaysOf } from './http/client-conditions.ts';
import { diagnoseIngress } from './inbound/inbound-diagnostics.ts';
import { collisions, type HostListener, hostListeners } from './listeners/host-listeners.ts';
import { upstreamTarget } from './outbound/upstream-target.ts';
import { diagnoseRateLimits } from './rate-limit/rate-limit-diagnostics.ts';
import {
  bindableAddresses,
  type Calling,
  callerCalling,
  capturedCallers,
  type HostCalling,
  hostCalling,
  isMeshed,
  upstreamCalling,
} from './view/calling.ts';
import { bestSpecificity } from './view/host-pattern.ts';
import { scopeReport } from './view/scope-report.ts';

function unknownRemedy({ config }: Mesh, serviceHost: string): string {
  const whole = wholeHost(config, serviceHost);
  const written = whole === undefined ? 'correct the upstream' : `write ${whole}, if that is meant`;
  return `Register the service, describe it by a ServiceEntry, or ${written}.`;
}

function ofUpstream(mesh: Mesh, host: Host, calling: HostCalling, upstream: Upstream): Diagnostic | undefined {
  const { serviceHost, servicePort, listen } = upstream;
  const object = `upstream ${serviceHost} at ${formatListen(listen)}`;
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
    if (service === undefined && isRouted(mesh, serviceHost)) return undefined;
    const lacking = service === undefined ? 'nothing is known of it' : `it has no port ${servicePort ?? ''}`;
    return {
      code: 'TRY0401',
      severity: 'warning',
      object,
      message: `${lacking}; calls fail with 503 or a closed connection`,
      remedy: unknownRemedy(mesh, serviceHost),
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
  const who = upstreamCalling(host, upstream, calling);
  if (who === undefined)
    return {
      code: 'TRY0406',
      severity: 'error',
      object,
      message: `${NOBODY_NAMED}; it has no listener`,
      remedy: NAME_ONE,
    };
  return lacksTrust(mesh, target, who, object);
}

/** Whether a VirtualService decides where requests for a name go that no service bears. */
function isRouted({ virtualServices }: Mesh, name: string): boolean {
  return virtualServices.some(
    (one) =>
      one.http.length > 0 && gatewaysOf(one).includes(MESH_GATEWAY) && bestSpecificity(one.hosts, [name]) !== undefined,
  );
}

const NOBODY_NAMED =
  'several identities call from this host, anybody on it can connect there, and nobody is named whose calls these are';
const NAME_ONE = 'Name one by "callAs" of the upstream, or give each caller a Unix socket of its own.';

/** What a DestinationRule says of connections to a port. */
function ruleTls(
  { destinationRules, config }: Mesh,
  service: Service,
  port: ServicePort,
  who: Calling,
): ClientTls | undefined {
  const { rootNamespace, defaultDestinationRuleExportTo: defaultExportTo } = config;
  const { namespace, labels } = who;
  const client = { namespace, labels, rootNamespace, ...(defaultExportTo !== undefined && { defaultExportTo }) };
  return effectivePolicy(joinRules(chooseRules(destinationRules, service, client)), port.number, undefined).tls;
}

/** A service that demands mutual TLS, of which this caller or the service itself has too little. */
function lacksTrust(
  mesh: Mesh,
  { service, port }: { readonly service: Service; readonly port: ServicePort },
  who: Calling,
  object: string,
): Diagnostic | undefined {
  const { host } = service;
  const tls = ruleTls(mesh, service, port, who);
  if (securityOf(tls, service, clusterCallers([who], false), mesh.config) !== 'refused') return undefined;
  const hasIdentity = who.identity !== undefined;
  return {
    code: 'TRY0403',
    severity: 'error',
    object,
    message: hasIdentity
      ? `${host} requires mutual TLS and nobody is named who may serve it; calls fail with 503`
      : `${host} requires mutual TLS and this host has no identity to call with; calls fail with 503`,
    remedy: hasIdentity
      ? 'Name the service accounts in its Service record or ServiceEntry.'
      : 'Configure an identity provider and "callAs", or write "tls: migrating" into the Service record.',
  };
}

/** A service by name: whether it is known, and whether anybody's connections to its addresses reach Envoy. */
function ofNamed(mesh: Mesh, host: Host, calling: HostCalling, upstream: NamedUpstream): readonly Diagnostic[] {
  const { serviceHost, addresses } = upstream;
  const object = `service by name ${serviceHost}`;
  const service = mesh.services.get(serviceHost);
  if (service === undefined || service.ports.length === 0)
    return [
      {
        code: 'TRY0401',
        severity: 'warning',
        object,
        message: `${service === undefined ? 'nothing is known of it' : 'it has no ports'}; connections to its addresses are refused or fail`,
        remedy: unknownRemedy(mesh, serviceHost),
      },
    ];
  const callers = capturedCallers(host).filter(isMeshed);
  if (callers.length === 0 && bindableAddresses(upstream).length === 0)
    return (host.callers ?? []).length > 0
      ? []
      : [
          {
            code: 'TRY0407',
            severity: 'error',
            object,
            message: `no calls are captured on this host, and Envoy cannot listen on ${addresses.length === 0 ? 'it, as it has no address' : `its addresses (${addresses.join(', ')})`}`,
            remedy: 'Take loopback addresses for "dns.addresses", or capture the calls ("capture.outbound").',
          },
        ];
  if (callers.length === 0 && !calling.bindsNames)
    return [
      { code: 'TRY0406', severity: 'error', object, message: `${NOBODY_NAMED}; it has no listeners`, remedy: NAME_ONE },
    ];
  const calls = [
    ...(calling.bindsNames ? [{ who: calling.unnamed, of: object }] : []),
    ...callers.map((caller) => ({
      who: callerCalling(host, caller),
      of: `${object}, called from captured port ${caller.capturePort}`,
    })),
  ];
  return calls.flatMap(({ who, of }) => {
    const [first] = service.ports.flatMap((port) => lacksTrust(mesh, { service, port }, who, of) ?? []);
    return first ?? [];
  });
}

/** Callers at one port: neither of them has a listener. */
function ofCallers(host: Host): readonly Diagnostic[] {
  const captured = new Set(capturedCallers(host));
  const ports = (host.callers ?? []).filter((caller) => !captured.has(caller)).map(({ capturePort }) => capturePort);
  return [...new Set(ports)].map((port) => ({
    code: 'TRY0408',
    severity: 'error',
    object: `captured calls at port ${port}`,
    message: 'calls of several callers arrive there, and nobody could tell them apart; there is no listener',
    remedy: 'Give each caller a port of its own.',
  }));
}

/** Listeners of one address: only the first of them is made. */
function ofListeners(listeners: readonly HostListener[]): readonly Diagnostic[] {
  return collisions(listeners).map(({ listener: { owner, at }, first }) => ({
    code: 'TRY0404',
    severity: 'error',
    object: `${owner} at ${formatListen(at)}`,
    message: `${first.owner} listens there already and holds`,
    remedy: 'Give it another address or port.',
  }));
}

/** Services by name of one address: only the first of them is reached there. */
function ofNamedAddresses(upstreams: readonly NamedUpstream[]): readonly Diagnostic[] {
  const owners = new Map<string, string>();
  return upstreams.flatMap(({ serviceHost, addresses }) =>
    addresses.flatMap((address): Diagnostic[] => {
      const first = owners.get(address);
      owners.set(address, first ?? serviceHost);
      if (first === undefined) return [];
      return [
        {
          code: 'TRY0404',
          severity: 'error',
          object: `service by name ${serviceHost} at ${address}`,
          message: `${first} has this address already and holds`,
          remedy: 'Give each service by name addresses of its own.',
        },
      ];
    }),
  );
}

/** In the order of the host's listeners, upstreams, services by name and callers. */
export function diagnose(mesh: Mesh, host: Host): readonly Diagnostic[] {
  const calling = hostCalling(host);
  return [
    ...ofListeners(hostListeners(mesh, host, calling)),
    ...host.upstreams.flatMap((upstream) => ofUpstream(mesh, host, calling, upstream) ?? []),
    ...ofNamedAddresses(host.namedUpstreams ?? []),
    ...(host.namedUpstreams ?? []).flatMap((upstream) => ofNamed(mesh, host, calling, upstream)),
    ...scopeReport(mesh, host),
    ...egressReport(mesh, host),
    ...ofCallers(host),
    ...diagnoseGateways(mesh, host),
    ...diagnoseIngress(mesh, host),
    ...diagnoseRateLimits(mesh, host),
  ];
}
