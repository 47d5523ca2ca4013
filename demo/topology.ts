/** The machines of the demo and what runs on each: data that everything else in this folder is made from. */

type ServiceName = 'productpage' | 'details' | 'reviews' | 'ratings';

/** One "VM": a network namespace or a loopback address of its own. */
export interface Machine {
  readonly name: string;
  /** Last octet of its address. */
  readonly octet: number;
  /** Undefined on the machine that holds the Consul server and the CA. */
  readonly runs: Instance | undefined;
}

/** An instance of a service of the bookshop. */
export interface Instance {
  readonly service: ServiceName;
  readonly version: string;
  /** Services that it calls through its own proxy. */
  readonly calls: readonly ServiceName[];
}

/** A machine that runs an instance of the bookshop, with its own agent and Envoy. */
export type MeshMachine = Machine & { readonly runs: Instance };

/** Loopback ports at which a machine's proxy offers the services that its application calls. */
export const UPSTREAM_PORTS: Readonly<Record<ServiceName, number>> = {
  productpage: 9080,
  details: 9081,
  reviews: 9082,
  ratings: 9083,
};

/** The port that peers dial, where each machine's Envoy listens. */
export const SERVICE_PORT = 9080;
/** Where applications listen, on loopback only. */
export const APPLICATION_PORT = 8080;
/** Where each machine's Consul agent answers, on loopback only. */
export const CONSUL_PORT = 8500;
/** Istio's number for certificate signing. */
export const CA_PORT = 15012;

export const REGISTRY: Machine = { name: 'registry', octet: 10, runs: undefined };

function instance(
  name: string,
  octet: number,
  service: ServiceName,
  version: string,
  calls: readonly ServiceName[] = [],
): MeshMachine {
  return { name, octet, runs: { service, version, calls } };
}

export const PRODUCTPAGE: MeshMachine = instance('productpage', 11, 'productpage', 'v1', ['details', 'reviews']);

/** Machines with an agent, callers first. Services whose instances the demo breaks have two. */
export const MESH_MACHINES: readonly MeshMachine[] = [
  PRODUCTPAGE,
  instance('details-1', 21, 'details', 'v1'),
  instance('details-2', 22, 'details', 'v1'),
  instance('reviews-v1', 31, 'reviews', 'v1'),
  instance('reviews-v2', 32, 'reviews', 'v2', ['ratings']),
  instance('reviews-v3', 33, 'reviews', 'v3', ['ratings']),
  instance('ratings-1', 41, 'ratings', 'v1'),
  instance('ratings-2', 42, 'ratings', 'v1'),
];

export const MACHINES: readonly Machine[] = [REGISTRY, ...MESH_MACHINES];

/** The machine of that name. Throws for a name that is not in the topology. */
export function meshMachine(name: string): MeshMachine {
  const found = MESH_MACHINES.find((machine) => machine.name === name);
  if (found === undefined) throw new Error(`no machine "${name}" in the demo's topology`);
  return found;
}
