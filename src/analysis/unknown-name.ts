/** What to say of a name or address that is no service's: what was likely meant. */
import { isIP } from 'node:net';
import { nearest } from '../lib/nearest.ts';
import type { Mesh } from '../model/mesh.ts';

function byInstance({ endpoints }: Mesh, address: string): string | undefined {
  for (const [host, all] of endpoints) if (all.some((one) => one.address === address)) return host;
  return undefined;
}

/** `reviews.shop`, `reviews.shop.svc.cluster.local`: the service that a name begins with; of another namespace for a short one. */
function byBeginning({ services }: Mesh, written: string): string | undefined {
  const [name, namespace] = written.split('.');
  for (const service of services.values())
    if (!service.external && service.name === name && (namespace ?? service.namespace) === service.namespace)
      return service.host;
  return undefined;
}

/** A name with fewer characters is another one when two of them differ. */
const SHORT = 6;

/** The host of the service of which one of the names is almost the one that is written. */
function byLikeness({ services }: Mesh, written: string, namespace: string): string | undefined {
  const hosts = new Map<string, string>();
  for (const { host, aliases, name, namespace: own, external } of services.values()) {
    for (const known of [host, ...aliases]) hosts.set(known, host);
    if (!external) hosts.set(own === namespace ? name : `${name}.${own}`, host);
  }
  return hosts.get(nearest(written, [...hosts.keys()], written.length < SHORT ? 1 : 2) ?? '');
}

/**
 * Such as `the mesh knows no service reviews.shop; there is reviews.shop.mesh`.
 * @param namespace of the caller
 */
export function unknownNameNote(mesh: Mesh, written: string, namespace: string): string {
  const unknown = `the mesh knows no service ${written}`;
  if (isIP(written) !== 0) {
    const host = byInstance(mesh, written);
    return host === undefined
      ? unknown
      : `${unknown}; an instance of ${host} has this address, and rules are for calls of that name`;
  }
  const meant = byBeginning(mesh, written) ?? byLikeness(mesh, written, namespace);
  return meant === undefined ? unknown : `${unknown}; there is ${meant}`;
}
