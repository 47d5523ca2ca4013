/** What the owner of the configuration root does: begin a fleet, say who may publish what, and take that back. */
import { randomBytes } from 'node:crypto';
import { type KvOperation, MAX_TRANSACTION_OPERATIONS } from '../consul/kv.ts';
import { TrysailError } from '../lib/errors.ts';
import { shownValue } from '../lib/shown-value.ts';
import type { Held } from './accept-head.ts';
import { type MeshDocument, type Publisher, publisherFault, readMeshDocument, TYPES } from './documents.ts';
import type { OpenFleet } from './fleet.ts';
import type { FleetStore } from './fleet-store.ts';
import { sealFreeze } from './freeze.ts';
import { newestHead, verified } from './history.ts';
import { FREEZE_KEY, headKey, MESH_KEY } from './layout.ts';
import { mayPublish, type Publishers } from './publishers.ts';
import { isRefused, sealDocument } from './signed-document.ts';
import { publicKeyText, type SigningKey, type VerifyingKey } from './signing-key.ts';

/** A publisher as people see it; times in ISO 8601. */
export interface PublisherSummary {
  readonly name: string;
  readonly key: string;
  readonly namespaces: readonly string[];
  readonly kinds: readonly string[];
  readonly mayFreeze: boolean;
  readonly revokedAt?: string;
}

export interface NewPublisher {
  readonly name: string;
  readonly publicKey: VerifyingKey;
  readonly namespaces: readonly string[];
  readonly kinds: readonly string[];
  readonly mayFreeze: boolean;
}

function publisherOf({ name, publicKey, namespaces, kinds, mayFreeze }: NewPublisher): Publisher {
  return {
    name,
    publicKey: publicKeyText(publicKey.publicKey),
    namespaces: [...namespaces],
    kinds: [...kinds],
    mayFreeze,
  };
}

const FORMS = {
  name: ['the name of a publisher', 'Use letters, digits, ".", "_", "@" and "-", 63 at most.'],
  namespaces: ['a pattern of namespaces', 'Write a namespace, such as shop, or team-*, or *.'],
} as const;

/** Refuses a publisher that the list cannot hold. @throws TrysailError `FLEET_PUBLISHER_INVALID` */
export function refusePublisher({ name, namespaces }: Pick<NewPublisher, 'name' | 'namespaces' | 'kinds'>): void {
  const fault = publisherFault({ name, namespaces: [...namespaces] });
  if (fault === undefined) return;
  const [noun, remedy] = FORMS[fault.field];
  throw new TrysailError('FLEET_PUBLISHER_INVALID', `${shownValue(fault.value)} is not ${noun}.`, { remedy });
}

function sealMesh(document: MeshDocument, root: SigningKey): Uint8Array {
  const payload = JSON.stringify(document);
  const read = readMeshDocument(payload);
  if (isRefused(read))
    throw new TrysailError('FLEET_PUBLISHER_INVALID', `The list of publishers cannot be written: ${read.refused}.`, {
      remedy:
        'Names are letters, digits, ".", "_", "@" and "-"; namespaces like shop, team-* or *; kinds like VirtualService.',
    });
  return Buffer.from(sealDocument(TYPES.mesh, payload, root));
}

/**
 * Begins a fleet in a Consul that has none.
 * @throws TrysailError `FLEET_EXISTS`, `FLEET_PUBLISHER_INVALID`, `CONSUL_…`
 */
export async function initialiseFleet(
  { kv }: Pick<FleetStore, 'kv'>,
  root: SigningKey,
  first: NewPublisher,
  localResources: MeshDocument['localResources'],
): Promise<void> {
  const document: MeshDocument = {
    version: 1,
    fleet: randomBytes(16).toString('hex'),
    revision: 1,
    previous: null,
    atMs: Date.now(),
    publishers: [publisherOf(first)],
    floors: {},
    localResources,
  };
  const { committed } = await kv.transact([
    { verb: 'cas', key: MESH_KEY, value: sealMesh(document, root), index: 0 },
    { verb: 'cas', key: FREEZE_KEY, value: sealFreeze(document.fleet, 1, false, undefined, root), index: 0 },
  ]);
  if (committed) return;
  throw new TrysailError('FLEET_EXISTS', `Consul has a fleet configuration already (${MESH_KEY}).`, {
    remedy: 'Add publishers to it with "trysail publisher add"; its root key signs that.',
  });
}

/** Whether there is a fleet's configuration already, whoever signed it. */
export async function fleetExists({ kv }: Pick<FleetStore, 'kv'>): Promise<boolean> {
  return (await kv.get(MESH_KEY)).value !== undefined;
}

/** How often a revocation is tried: at last whatever is published meanwhile. */
const REVOCATIONS = 3;

interface MeshChange {
  readonly to: Partial<MeshDocument>;
  /** Heads that must be what they were. */
  readonly unmoved?: readonly KvOperation[];
}

async function changeMesh(
  { store }: OpenFleet,
  root: SigningKey,
  change: (publishers: Publishers) => Promise<MeshChange>,
): Promise<void> {
  const publishers = await store.publishers();
  if (!store.roots.some(({ id }) => id === root.id))
    throw new TrysailError('FLEET_FORBIDDEN', `The key ${root.id} is not the root key of this fleet.`, {
      remedy: 'Name the root’s private key by --root-key.',
    });
  const { document, hash, modifyIndex: index } = publishers;
  const { to, unmoved = [] } = await change(publishers);
  const next: MeshDocument = {
    ...document,
    ...to,
    revision: document.revision + 1,
    previous: hash,
    atMs: Math.max(Date.now(), document.atMs + 1),
  };
  const { committed } = await store.kv.transact([
    { verb: 'cas', key: MESH_KEY, value: sealMesh(next, root), index },
    // A fleet of more namespaces than a transaction holds is repaired should somebody publish at this very moment.
    ...unmoved.slice(0, MAX_TRANSACTION_OPERATIONS - 1),
  ]);
  if (committed) return;
  throw new TrysailError('FLEET_CONFLICT', 'Somebody else published, or changed the list, at the same time.', {
    remedy: 'Look at it with "trysail publisher list", and run this again.',
  });
}

/** All publishers, revoked ones too. @throws TrysailError `FLEET_…`, `CONSUL_…` */
export async function listPublishers({ store }: OpenFleet): Promise<readonly PublisherSummary[]> {
  const { byKey } = await store.publishers();
  return [...byKey].map(([key, { publisher }]) => ({
    name: publisher.name,
    key,
    namespaces: publisher.namespaces,
    kinds: publisher.kinds,
    mayFreeze: publisher.mayFreeze,
    ...(publisher.revokedAtMs === undefined ? {} : { revokedAt: new Date(publisher.revokedAtMs).toISOString() }),
  }));
}

/** Lets a key publish. @throws TrysailError `FLEET_PUBLISHER_EXISTS`, `FLEET_PUBLISHER_INVALID`, `FLEET_…`, `CONSUL_…` */
export async function addPublisher(fleet: OpenFleet, root: SigningKey, added: NewPublisher): Promise<void> {
  refusePublisher(added);
  await changeMesh(fleet, root, async ({ document, byKey }) => {
    const same =
      byKey.get(added.publicKey.id)?.publisher ?? document.publishers.find(({ name }) => name === added.name);
    if (same !== undefined)
      throw new TrysailError(
        'FLEET_PUBLISHER_EXISTS',
        `There is a publisher of this name or key already: ${same.name}${same.revokedAtMs === undefined ? '' : ' (revoked)'}.`,
        { remedy: 'Choose another name and another key; revoke the old one with "trysail publisher revoke".' },
      );
    return { to: { publishers: [...document.publishers, publisherOf(added)] } };
  });
}

/** The newest head of a namespace that verifies, whatever is written over the one in force; undefined: there is none. */
async function newestOf(
  store: FleetStore,
  namespace: string,
  publishers: Publishers,
): Promise<{ readonly head: Held | undefined; readonly index: number }> {
  const entry = await store.head(namespace);
  const present = entry === undefined ? undefined : await verified(store, entry.value, namespace, publishers);
  const newer = await newestHead(store, namespace, publishers, present?.head.revision ?? 0);
  return { head: newer ?? present, index: entry?.modifyIndex ?? 0 };
}

/**
 * Takes nothing new of a publisher from now on. What it published so far stands: the heads as they are now become the
 * floor below which no host goes. Nobody keeps it off by writing to heads at the same time.
 * @throws TrysailError `FLEET_PUBLISHER_UNKNOWN`, `FLEET_…`, `CONSUL_…`
 */
export async function revokePublisher(fleet: OpenFleet, root: SigningKey, name: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await revokeOnce(fleet, root, name, tries < REVOCATIONS);
    } catch (error) {
      if (!(error instanceof TrysailError) || error.code !== 'FLEET_CONFLICT' || tries >= REVOCATIONS) throw error;
    }
  }
}

/** @param isStrict whether heads must be unmoved, so that nothing that is published meanwhile is lost */
async function revokeOnce(fleet: OpenFleet, root: SigningKey, name: string, isStrict: boolean): Promise<void> {
  const { store } = fleet;
  await changeMesh(fleet, root, async (publishers) => {
    const { document } = publishers;
    const found = document.publishers.find((one) => one.name === name && one.revokedAtMs === undefined);
    if (found === undefined)
      throw new TrysailError('FLEET_PUBLISHER_UNKNOWN', `There is no publisher "${name}" that is not revoked.`, {
        remedy: 'See "trysail publisher list".',
      });
    const floors = { ...document.floors };
    const unmoved: KvOperation[] = [];
    for (const namespace of (await store.namespaces()).filter((one) => mayPublish(found, one))) {
      const { head: newest, index } = await newestOf(store, namespace, publishers);
      if (newest === undefined) continue;
      floors[namespace] = { revision: newest.head.revision, hash: newest.hash };
      if (isStrict && index > 0) unmoved.push({ verb: 'check-index', key: headKey(namespace), index });
    }
    const revoked = { ...found, revokedAtMs: Date.now() };
    return { to: { publishers: document.publishers.map((one) => (one === found ? revoked : one)), floors }, unmoved };
  });
}

/** Says whether resource files on hosts count beside the fleet's. */
export async function setLocalResources(
  fleet: OpenFleet,
  root: SigningKey,
  localResources: MeshDocument['localResources'],
): Promise<void> {
  await changeMesh(fleet, root, async () => ({ to: { localResources } }));
}
