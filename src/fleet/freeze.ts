/** The mark in Consul that stops every publication: who may set it, and what it says. */
import { TrysailError } from '../lib/errors.ts';
import { oneLine, TYPES } from './documents.ts';
import type { OpenFleet } from './fleet.ts';
import { FREEZE_KEY } from './layout.ts';
import { isRefused, sealDocument } from './signed-document.ts';
import type { SigningKey } from './signing-key.ts';

/** The mark as a document, signed. */
export function sealFreeze(
  fleet: string,
  revision: number,
  frozen: boolean,
  message: string | undefined,
  key: SigningKey,
): Uint8Array {
  const document = {
    version: 1,
    fleet,
    revision,
    frozen,
    atMs: Date.now(),
    ...(message === undefined ? {} : { message: oneLine(message) }),
  };
  return Buffer.from(sealDocument(TYPES.freeze, JSON.stringify(document), key));
}

/** Whether changes are frozen, by whom, since when (ISO 8601), why. */
export interface FreezeReport {
  readonly frozen: boolean;
  readonly by: string;
  readonly at: string;
  readonly message?: string;
}

export async function freezeReport({ store }: OpenFleet): Promise<FreezeReport> {
  const { document, by } = await store.freeze(await store.publishers());
  const { frozen, atMs, message } = document;
  return { frozen, by, at: new Date(atMs).toISOString(), ...(message === undefined ? {} : { message }) };
}

/**
 * Stops all changes, or lets them go on. A mark that somebody has taken away or overwritten is made anew.
 * @throws TrysailError `FLEET_FORBIDDEN`, `FLEET_CONFLICT`, `CONSUL_…`
 */
export async function setFrozen(
  { store }: OpenFleet,
  key: SigningKey,
  frozen: boolean,
  message: string | undefined,
): Promise<void> {
  const publishers = await store.publishers();
  const publisher = publishers.byKey.get(key.id)?.publisher;
  const isRoot = store.roots.some(({ id }) => id === key.id);
  if (!isRoot && (publisher?.mayFreeze !== true || publisher.revokedAtMs !== undefined))
    throw new TrysailError('FLEET_FORBIDDEN', `${publisher?.name ?? `The key ${key.id}`} may not freeze changes.`, {
      remedy: 'Use the root key, or that of a publisher that was added with --may-freeze.',
    });
  const { mark, modifyIndex } = await store.freezeMark(publishers);
  const { fleet } = publishers.document;
  const revision = isRefused(mark) ? 1 : mark.document.revision + 1;
  const value = sealFreeze(fleet, revision, frozen, message, key);
  if (await store.kv.put(FREEZE_KEY, value, { cas: modifyIndex })) return;
  throw new TrysailError('FLEET_CONFLICT', 'Somebody else froze or unfroze changes at the same time.', {
    remedy: 'Run it again.',
  });
}
