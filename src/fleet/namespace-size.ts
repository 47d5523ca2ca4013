/** Refuses to publish what no host would take: a namespace with too many resources, or with too much text. */
import { TrysailError } from '../lib/errors.ts';
import { megabytes } from './accept-head.ts';
import type { NamespaceChanges } from './compose-head.ts';
import { entryKey } from './documents.ts';
import { FLEET_LIMITS } from './layout.ts';
import type { Base } from './plan.ts';

const MOST_RESOURCES = FLEET_LIMITS.indexParts * FLEET_LIMITS.indexEntries;

interface Size {
  readonly resources: number;
  readonly bytes: number;
}

function sizeOf(texts: ReadonlyMap<string, number>): Size {
  return { resources: texts.size, bytes: [...texts.values()].reduce((sum, bytes) => sum + bytes, 0) };
}

function refusal(namespace: string, what: string, most: string): TrysailError {
  return new TrysailError('FLEET_TOO_LARGE', `The namespace ${namespace} would have ${what}; ${most} is the most.`, {
    remedy: 'Delete what is not needed any more (--prune), or publish a part in another namespace.',
  });
}

/**
 * A namespace that is too large already may become smaller.
 * @param base the namespace as it is
 * @throws TrysailError `FLEET_TOO_LARGE`
 */
export function refuseTooLarge({ current, bodies }: Base, { puts, deletes }: NamespaceChanges): void {
  const texts = new Map(
    [...(current.held?.entries ?? [])].map(([key, { hash }]) => [key, Buffer.byteLength(bodies.get(hash) ?? '')]),
  );
  const before = sizeOf(texts);
  for (const one of deletes) texts.delete(entryKey(one));
  for (const one of puts) texts.set(entryKey(one), Buffer.byteLength(one.text));
  const after = sizeOf(texts);
  if (after.resources > MOST_RESOURCES && after.resources > before.resources)
    throw refusal(current.namespace, `${after.resources} resources`, `${MOST_RESOURCES}`);
  if (after.bytes > FLEET_LIMITS.namespaceBytes && after.bytes > before.bytes)
    throw refusal(current.namespace, `${megabytes(after.bytes)} of text`, megabytes(FLEET_LIMITS.namespaceBytes));
}
