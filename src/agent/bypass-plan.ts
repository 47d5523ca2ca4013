/** What taking services of this host past the proxy means: which rules, and which policies no longer hold. Pure. */

import { isIP } from 'node:net';
import { TrysailError } from '../lib/errors.ts';
import type { Host, SocketAddress } from '../model/host.ts';
import { hasLabels } from '../model/labels.ts';
import type { Mesh } from '../model/mesh.ts';
import type { ResourceMeta } from '../model/resource-meta.ts';
import type { BypassedListener, BypassPlan } from '../platform/vm/bypass-ruleset.ts';
import type { CapturedCaller } from '../platform/vm/capture-plan.ts';
import { PORTS } from '../platform/vm/ports.ts';
import { callerKey, capturedCallers } from './callers.ts';
import type { PlannedCapture } from './capture-plan-of.ts';
import type { AgentSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';

export interface BypassInputs {
  readonly settings: AgentSettings;
  readonly host: Host;
  /** From the last good catalogue and the resource files. */
  readonly mesh: Mesh;
  /** What capture would do now. */
  readonly captured: PlannedCapture;
}

export interface PlannedBypass {
  readonly plan: BypassPlan;
  /** What passes the proxy, one sentence each. */
  readonly bypassed: readonly string[];
  /** What of it cannot, and why. */
  readonly notBypassed: readonly string[];
  /** What no longer holds. */
  readonly suspended: readonly string[];
}

/** All services of the host and all that it calls. */
export const EVERYTHING = '*';

const named = (kind: string, { namespace, name }: ResourceMeta): string => `${kind} ${namespace}/${name}`;
const text = ({ address, port }: SocketAddress): string =>
  isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;

interface Collection {
  readonly inboundPorts: number[];
  readonly callers: CapturedCaller[];
  readonly destinations: SocketAddress[];
  readonly listeners: BypassedListener[];
  readonly bypassed: string[];
  readonly notBypassed: string[];
  readonly suspended: Set<string>;
}

/** Whether a host of a resource, maybe a wildcard, means a service. */
function means(pattern: string, serviceHost: string): boolean {
  return pattern === serviceHost || (pattern.startsWith('*') && serviceHost.endsWith(pattern.slice(1)));
}

/** Where a service's instances are by the last good catalogue: those that are well, or all when none is. */
function endpointsOf(mesh: Mesh, host: string, servicePort: number | undefined): readonly SocketAddress[] {
  const all = (mesh.endpoints.get(host) ?? []).filter(({ health }) => health !== 'DRAINING');
  const well = all.filter(({ health }) => health === 'HEALTHY');
  return (well.length > 0 ? well : all).flatMap(({ address, ports }): SocketAddress[] => {
    const port = servicePort === undefined ? Object.values(ports)[0] : ports[servicePort];
    return port === undefined || isIP(address) === 0 ? [] : [{ address, port }];
  });
}

/** A service's own policies: of its namespace or the whole mesh, for its labels. */
function guardsOf(
  { mesh }: BypassInputs,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): readonly string[] {
  return mesh.peerAuthentications
    .filter(
      ({ meta, selector }) =>
        (meta.namespace === namespace || meta.namespace === mesh.config.rootNamespace) &&
        hasLabels(labels, selector ?? {}),
    )
    .map(({ meta }) => named('PeerAuthentication', meta));
}

function takeService(found: Collection, inputs: BypassInputs, index: number): void {
  const { settings, host, captured } = inputs;
  const service = settings.services[index];
  if (service === undefined) return;
  const { name, namespace, inbound, mode, labels } = service;
  if (inbound !== undefined && isProxied(mode)) {
    if (inbound.capture !== undefined) {
      found.inboundPorts.push(inbound.port);
      found.bypassed.push(`connections to port ${inbound.port} of ${name} reach the application itself`);
    } else {
      const listen = { address: settings.host.address, port: inbound.port };
      if (isIP(listen.address) === isIP(inbound.application.address)) {
        found.listeners.push({ listen, to: [inbound.application] });
        found.bypassed.push(`connections to ${text(listen)} reach ${name} at ${text(inbound.application)}`);
      } else
        found.notBypassed.push(`${text(listen)}: ${name} listens at ${text(inbound.application)}, of the other family`);
    }
    if (mode === 'full') {
      for (const each of guardsOf(inputs, namespace, labels)) found.suspended.add(each);
      found.suspended.add(`mutual TLS to ${name}: callers that insist on it fail until they are bypassed as well`);
    }
  }
  if (service.caller === undefined) return;
  const own = callerKey(service.caller);
  const position = capturedCallers(settings).findIndex(({ key }) => key === own);
  const port = host.callers?.[position]?.capturePort;
  for (const caller of captured.plan.callers) {
    if (caller.port !== port || found.callers.includes(caller)) continue;
    found.callers.push(caller);
    found.bypassed.push(`calls of ${name} go where they are made to`);
    found.suspended.add(`the identity of ${name} on its calls, and every rule for where they go`);
  }
}

/** An instance on this host whose listener is bypassed is its application: a connection is translated once. */
function pastOwnListener({ listeners }: Collection, endpoint: SocketAddress): SocketAddress {
  const own = listeners.find(({ listen }) => text(listen) === text(endpoint));
  return own?.to[0] ?? endpoint;
}

function takeUpstream(
  found: Collection,
  { mesh, captured }: BypassInputs,
  serviceHost: string,
  listen: SocketAddress | string,
  port: number | undefined,
): void {
  const service = mesh.services.get(serviceHost);
  const endpoints = endpointsOf(mesh, serviceHost, port);
  for (const { meta, hosts } of mesh.virtualServices)
    if (hosts.some((pattern) => means(pattern, serviceHost))) found.suspended.add(named('VirtualService', meta));
  for (const { meta, host } of mesh.destinationRules)
    if (means(host, serviceHost)) found.suspended.add(named('DestinationRule', meta));
  if (service !== undefined && service.tls !== 'plain')
    found.suspended.add(`mutual TLS to ${serviceHost}: its instances refuse plain text where they are STRICT`);
  if (captured.plan.callers.length > 0) found.destinations.push(...endpoints);
  if (typeof listen === 'string') {
    found.notBypassed.push(`${listen}: a Unix socket has no other way; call ${serviceHost} at one of its addresses`);
    return;
  }
  const to = endpoints
    .filter(({ address }) => isIP(address) === isIP(listen.address))
    .map((endpoint) => pastOwnListener(found, endpoint));
  if (to.length === 0)
    found.notBypassed.push(`${text(listen)}: no instance of ${serviceHost} is known at an address of that family`);
  else {
    found.listeners.push({ listen, to });
    const at = listen.port === 0 ? listen.address : text(listen);
    found.bypassed.push(`connections to ${at} reach ${serviceHost} at ${to.map(text).join(', ')}`);
  }
}

function takeUpstreams(found: Collection, inputs: BypassInputs, isAsked: (serviceHost: string) => boolean): void {
  const { host, mesh, captured } = inputs;
  for (const { serviceHost, servicePort, listen } of host.upstreams) {
    if (!isAsked(serviceHost)) continue;
    takeUpstream(found, inputs, serviceHost, 'path' in listen ? `unix:${listen.path}` : listen, servicePort);
  }
  for (const { serviceHost, addresses } of host.namedUpstreams ?? []) {
    if (!isAsked(serviceHost)) continue;
    if (addresses.length === 0 && captured.plan.callers.length === 0)
      found.notBypassed.push(`${serviceHost}: the address that its name has is not known here`);
    for (const address of addresses) takeUpstream(found, inputs, serviceHost, { address, port: 0 }, undefined);
    if (addresses.length === 0) found.destinations.push(...endpointsOf(mesh, serviceHost, undefined));
  }
}

/**
 * What is bypassed by these names: services of this host, and services that it calls, by name or host; `*` for all.
 * @throws TrysailError `BYPASS_UNKNOWN` for a name that this host neither runs nor calls
 */
export function bypassPlanOf(inputs: BypassInputs, names: readonly string[]): PlannedBypass {
  const { settings, host, mesh, captured } = inputs;
  const found: Collection = {
    inboundPorts: [],
    callers: [],
    destinations: [],
    listeners: [],
    bypassed: [],
    notBypassed: [],
    suspended: new Set(),
  };
  const everything = names.includes(EVERYTHING);
  const known = new Set([EVERYTHING]);
  const isAsked = (own: readonly string[]): boolean => {
    for (const name of own) known.add(name);
    return everything || names.some((name) => own.includes(name));
  };
  for (const [i, { name, namespace }] of settings.services.entries()) {
    const serviceHost = host.workloads[i]?.serviceHost ?? name;
    if (isAsked([name, `${name}.${namespace}`, `${namespace}/${name}`, serviceHost])) takeService(found, inputs, i);
  }
  takeUpstreams(found, inputs, (serviceHost) => {
    const service = mesh.services.get(serviceHost);
    const others =
      service === undefined ? [] : [service.name, `${service.name}.${service.namespace}`, ...service.aliases];
    return isAsked([serviceHost, serviceHost.split('.')[0] ?? serviceHost, ...others]);
  });
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length > 0) {
    const called = [...host.upstreams, ...(host.namedUpstreams ?? [])].map(({ serviceHost }) => serviceHost);
    const all = new Set([...settings.services.map(({ name }) => name), ...called]);
    throw new TrysailError('BYPASS_UNKNOWN', `this host neither runs nor calls ${unknown.join(', ')}`, {
      remedy: all.size === 0 ? 'It runs and calls nothing.' : `It has ${[...all].join(', ')}.`,
    });
  }
  if (everything) {
    const others = captured.plan.callers.filter((caller) => !found.callers.includes(caller));
    found.callers.push(...others);
    if (others.length > 0) found.bypassed.push('all captured calls of this host go where they are made to');
  }
  return {
    plan: {
      inboundPorts: found.inboundPorts,
      inboundCapturePort: PORTS.inboundCapture,
      callers: found.callers,
      destinations: found.destinations,
      listeners: found.listeners,
      interfaces: everything ? (captured.plan.containers?.interfaces ?? []) : [],
      envoyUid: captured.plan.envoyUid,
    },
    bypassed: found.bypassed,
    notBypassed: found.notBypassed,
    suspended: [...found.suspended],
  };
}
