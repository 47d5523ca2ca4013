/** What commands ask of the fleet's configuration: one object for one Consul, one root and, to change things, one key. */
import { randomUUID } from 'node:crypto';
import { type ConsulClient, createConsulClient } from '../consul/client.ts';
import { tokenFromFile } from '../consul/token-file.ts';
import { TrysailError } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { type CatalogueNow, catalogueNow } from './catalogue-now.ts';
import {
  type ApplyRequest,
  load,
  type Planned,
  type Proposal,
  planBack,
  planDelete,
  planned,
  type ResourceName,
} from './change-plans.ts';
import { FleetStore } from './fleet-store.ts';
import { historyOf, type Revision } from './history.ts';
import { concerned, type FleetHost, fleetHosts } from './host-status.ts';
import { refuseTooOld } from './levels.ts';
import type { ResourceChange } from './plan.ts';
import { type Plan, publish } from './publish.ts';
import type { Publishers } from './publishers.ts';
import { readPublicKeys, type SigningKey } from './signing-key.ts';
import { upToOf } from './stage.ts';

export type { ApplyRequest, Proposal, ResourceName } from './change-plans.ts';

/** Where the fleet's configuration is, and whom to trust. */
export interface FleetAccess {
  /** `http://host:port`, `https://host:port` or `unix:///path`. */
  readonly consul: string;
  readonly tokenFile?: string | undefined;
  readonly caFile?: string | undefined;
  /** File with the root's public key. */
  readonly root: string;
}

export interface OpenFleet {
  readonly store: FleetStore;
  /** Consul's catalogue; absent: nobody asks for it. */
  readonly consul?: Pick<ConsulClient, 'catalogServices' | 'health'>;
  close(): void;
}

type ConsulAccess = Omit<FleetAccess, 'root'>;

function clientOf({ consul, tokenFile, caFile }: ConsulAccess): ConsulClient {
  return createConsulClient({
    address: consul,
    token: tokenFile === undefined ? undefined : tokenFromFile(tokenFile),
    ...(caFile === undefined ? {} : { tls: { caFile } }),
  });
}

/** Consul alone, before there is a root to trust. @throws TrysailError `CONSUL_ADDRESS_INVALID` */
export function openConsul(access: ConsulAccess): Pick<ConsulClient, 'kv' | 'close'> {
  return clientOf(access);
}

/** @throws TrysailError `FLEET_KEY_…`, `CONSUL_ADDRESS_INVALID` */
export async function openFleet(access: FleetAccess): Promise<OpenFleet> {
  const roots = await readPublicKeys(access.root);
  const client = clientOf(access);
  return { store: new FleetStore(client.kv, roots), consul: client, close: () => client.close() };
}

/** A resource that is published. */
export interface PublishedResource {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** In which it was written as it is. */
  readonly revision: number;
  /** ISO 8601: when it was created, which is its age. */
  readonly createdAt: string;
  readonly publisher: string;
  /** YAML. */
  readonly text: string;
}

/** All that is published in some namespaces; without any, in all that the token may see. @throws TrysailError `FLEET_…` */
export async function publishedResources(
  { store }: OpenFleet,
  namespaces: readonly string[] | undefined,
): Promise<readonly PublishedResource[]> {
  const publishers = await store.publishers();
  const names = namespaces ?? (await store.namespaces());
  const bases = await Promise.all(names.map(async (namespace) => load(store, namespace, publishers)));
  return bases.flatMap(({ current, bodies }) =>
    [...(current.held?.entries.values() ?? [])].map((entry) => ({
      kind: entry.kind,
      namespace: current.namespace,
      name: entry.name,
      revision: entry.revision,
      createdAt: new Date(entry.createdMs).toISOString(),
      publisher: publishers.byKey.get(entry.key)?.publisher.name ?? entry.key,
      text: bodies.get(entry.hash) ?? '',
    })),
  );
}

/** What a change is, was, or would be. */
export interface ChangeReport {
  readonly changes: readonly ResourceChange[];
  /** Warnings; errors refuse the change. */
  readonly diagnostics: readonly Diagnostic[];
  /** The revision of each namespace that changed; empty for what was not published. */
  readonly revisions: Readonly<Record<string, number>>;
  /** Of a change that goes out in steps, and of which the first is made: go on with `followRollout`. */
  readonly rollout?: string;
}

/** What applying would change. Never writes. @throws TrysailError `FLEET_…`, `CONSUL_…` */
export async function proposeApply({ store }: OpenFleet, request: ApplyRequest): Promise<Proposal> {
  return planned(store, await store.publishers(), request);
}

function refuseErrors(diagnostics: readonly Diagnostic[]): void {
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new FleetRefusal(errors);
}

/** Resources with errors, each a diagnostic: nothing of the change was written. */
export class FleetRefusal extends TrysailError {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[]) {
    const count = diagnostics.length;
    super('FLEET_INVALID', `Nothing is published: ${count} error${count === 1 ? '' : 's'} in the resources.`, {
      remedy: 'Correct what the lines above name, and apply again.',
    });
    this.diagnostics = diagnostics;
  }
}

/** The stage of a first step; undefined: the change goes to all hosts at once. */
function firstStage(steps: readonly string[] | undefined, hosts: readonly FleetHost[]): Plan['stage'] {
  const [step] = steps ?? [];
  if (steps === undefined || step === undefined) return undefined;
  const living = hosts.filter(({ silent }) => !silent).map(({ host }) => host);
  if (living.length === 0)
    throw new TrysailError(
      'FLEET_NO_HOSTS',
      hosts.length === 0
        ? 'No host says that it follows what is to change: there is nobody to begin with.'
        : `Each host that follows what is to change (${hosts.length}) has said nothing for hours, by this machine's clock (${new Date().toISOString()}): there is nobody to begin with.`,
      {
        remedy:
          hosts.length === 0
            ? 'Apply without --stage; or let hosts write their key below trysail/v1/status/ (docs/fleet.md).'
            : "Look at this machine's clock and those hosts; or apply without --stage.",
      },
    );
  const id = randomUUID();
  // A thousand acknowledgements a second are little work for Consul.
  const spreadMs = Math.min(30_000, living.length);
  return { id, steps: [...steps], step: 1, upTo: upToOf(id, step, living), spreadMs };
}

async function carryOut(
  store: FleetStore,
  { key, steps, force }: Signed,
  action: Plan['action'],
  message: string | undefined,
  plan: (publishers: Publishers) => Promise<Omit<Planned, 'files'>>,
): Promise<ChangeReport> {
  let last: Omit<Planned, 'files'> = { changes: [], namespaces: [], diagnostics: [] };
  let stage: Plan['stage'];
  const { heads } = await publish(store, key, async (publishers) => {
    last = await plan(publishers);
    refuseErrors(last.diagnostics);
    const namespaces = last.namespaces.map(({ current }) => current.namespace);
    const hosts = namespaces.length === 0 ? [] : concerned(await fleetHosts(store.kv), namespaces);
    if (force === undefined) refuseTooOld(hosts, last.namespaces);
    stage = namespaces.length === 0 ? undefined : firstStage(steps, hosts);
    const why = [message, force === undefined ? undefined : `forced: ${force}`].filter((part) => part !== undefined);
    return { action, message: why.length === 0 ? undefined : why.join('; '), namespaces: last.namespaces, stage };
  });
  return {
    changes: last.changes,
    diagnostics: last.diagnostics,
    revisions: Object.fromEntries(heads.map(({ namespace, head }) => [namespace, head.revision])),
    ...(stage === undefined || heads.length === 0 ? {} : { rollout: stage.id }),
  };
}

export interface Signed {
  /** The publisher's private key. */
  readonly key: SigningKey;
  /** Why, for history. */
  readonly message?: string | undefined;
  /** The steps in which it goes out (`parseSteps`); absent: to all hosts at once. */
  readonly steps?: readonly string[] | undefined;
  /** Why it is published although hosts that live do not understand it. */
  readonly force?: string | undefined;
}

/** Publishes resources. @throws FleetRefusal; TrysailError `FLEET_…`, `CONSUL_…` */
export async function applyResources(
  { store }: OpenFleet,
  request: ApplyRequest,
  signed: Signed,
): Promise<ChangeReport> {
  return carryOut(store, signed, 'apply', signed.message, async (publishers) => planned(store, publishers, request));
}

/** Deletes resources. @throws TrysailError `FLEET_NO_SUCH_RESOURCE`, `FLEET_…`, `CONSUL_…` */
export async function deleteResources(
  { store }: OpenFleet,
  names: readonly ResourceName[],
  signed: Signed,
): Promise<ChangeReport> {
  return carryOut(store, signed, 'delete', signed.message, async (publishers) => planDelete(store, publishers, names));
}

/** All services of Consul with their instances; undefined where nobody asks. @throws TrysailError `CONSUL_…` */
export async function fleetCatalogue({ consul }: OpenFleet, maxServices: number): Promise<CatalogueNow | undefined> {
  return consul === undefined ? undefined : catalogueNow(consul, maxServices);
}

/** What is kept of the history of a namespace, newest first. @throws TrysailError `FLEET_…`, `CONSUL_…` */
export async function namespaceHistory({ store }: OpenFleet, namespace: string): Promise<readonly Revision[]> {
  return historyOf(store, namespace, await store.publishers());
}

/** Namespaces in which something was published. */
export async function fleetNamespaces({ store }: OpenFleet): Promise<readonly string[]> {
  return store.namespaces();
}

/** What going back to a revision would change. Never writes. */
export async function proposeRollback({ store }: OpenFleet, namespace: string, revision: number): Promise<Proposal> {
  return planBack(store, await store.publishers(), namespace, revision);
}

/**
 * Publishes the resources of an earlier revision as a new one. Ages come back with them.
 * @throws TrysailError `FLEET_NO_SUCH_REVISION`, `FLEET_…`, `CONSUL_…`
 */
export async function rollBack(
  { store }: OpenFleet,
  namespace: string,
  revision: number,
  signed: Signed,
): Promise<ChangeReport> {
  return carryOut(store, signed, 'rollback', signed.message ?? `back to revision ${revision}`, async (publishers) =>
    planBack(store, publishers, namespace, revision),
  );
}
