/** Names of Envoy resources, as Istio forms them, so that dashboards and habits carry over. */
import type { SocketAddress, SocketPath } from '../model/host.ts';

/** `outbound|9080|v1|reviews.default.mesh`; the subset is empty for all of the service. */
export function outboundClusterName(port: number, subset: string | undefined, host: string): string {
  return `outbound|${port}|${subset ?? ''}|${host}`;
}

/** The host in the name of a cluster of no client in particular. */
export function clusterHost(name: string): string {
  return name.slice(name.lastIndexOf('|') + 1);
}

/** `observe|9080||reviews.default.mesh`: the same endpoints in mode `observe`, always in plain text. */
export function observedClusterName(port: number, host: string): string {
  return `observe|${port}||${host}`;
}

/** `inbound|9080||`. */
export function inboundClusterName(port: number): string {
  return `inbound|${port}||`;
}

/** Prefix of a cluster's statistics; the semicolon ends the name for those who take the statistics apart. */
export function statName(name: string): string {
  return `${name};`;
}

/** `127.0.0.1_9081`; of a Unix socket its path. */
export function listenerName(listen: SocketAddress | SocketPath): string {
  return 'path' in listen ? listen.path : `${listen.address}_${listen.port}`;
}

/** `reviews.default.mesh:9080`: route configurations of upstreams and virtual hosts. */
export function routeConfigName(host: string, port: number): string {
  return `${host}:${port}`;
}

/** `api.example.com:80 at loopback`: the virtual host beside it for requests that name an address of this host. */
export function loopbackVirtualHostName(virtualHost: string): string {
  return `${virtualHost} at loopback`;
}

/** `reviews.default.mesh:9080~payments`: what holds for the calls of one client, where those of several differ. */
export function ofClient(name: string, clientKey: string): string {
  return `${name}~${clientKey}`;
}

/** `outbound_.9080_.v1_.reviews.default.mesh`: the server name that a mesh client asks for. */
export function sniName(port: number, subset: string | undefined, host: string): string {
  return `outbound_.${port}_.${subset ?? ''}_.${host}`;
}
