/** Translated resources as a bootstrap that needs no control plane, with certificates from static secrets. */
import { type Bootstrap } from '../../src/envoy/bootstrap.ts';
import { staticBootstrap as complete, staticResources } from '../../src/envoy/static-bootstrap.ts';
import { type Resource, type Resources, TYPE_URL } from '../../src/xds/resource.ts';

export interface StaticBootstrapOptions {
  readonly nodeId: string;
  /** Undefined: none, as for validation. */
  readonly adminPort?: number;
  readonly secrets: readonly Resource[];
}

export async function staticBootstrap(resources: Resources, options: StaticBootstrapOptions): Promise<Bootstrap> {
  const { nodeId, adminPort, secrets } = options;
  const files = resources.get(TYPE_URL.secret) ?? new Map<string, Resource>();
  const byName = new Map([...files, ...secrets.map((secret) => [secret.name, secret] as const)]);
  const { leftOut, ...found } = await staticResources(new Map(resources).set(TYPE_URL.secret, byName), { keys: true });
  if (leftOut.length > 0) throw new Error(`something that they refer to is missing: ${leftOut.join(', ')}`);
  const admin = { address: { socket_address: { address: '127.0.0.1', port_value: adminPort } } };
  return complete(
    { node: { id: nodeId, cluster: nodeId }, ...(adminPort !== undefined && { admin }) },
    { ...found, leftOut },
  );
}
