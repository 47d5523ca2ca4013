/** What a host holds that does not take a revision yet: the one before the roll-out, which the new head vouches for. */
import type { KvStore } from '../consul/kv.ts';
import { TrysailError } from '../lib/errors.ts';
import { type Before, type Judged, judgeHead } from './accept-head.ts';
import { withoutRevocations } from './history.ts';
import { revisionKey } from './layout.ts';
import type { Publishers } from './publishers.ts';
import { isRefused } from './signed-document.ts';

export interface StagedBase {
  readonly judged: Judged;
  /** By whom its resources are judged: it may have been published by somebody who is revoked by now. */
  readonly publishers: Publishers;
}

/**
 * The revision that the head's stage names as the one before; undefined where the host holds that, or a later one, or where
 * there was none.
 * @throws TrysailError `FLEET_CONTENT_MISSING`, `FLEET_UNVERIFIED`, `CONSUL_…`
 */
export async function stagedBase(
  judged: Judged,
  before: Before,
  publishers: Publishers,
  { kv, signal }: { readonly kv: Pick<KvStore, 'get'>; readonly signal: AbortSignal },
): Promise<StagedBase | undefined> {
  const { namespace, head } = judged;
  const base = head.stage?.base ?? null;
  if (base === null || (before?.head.revision ?? 0) >= base.revision) return undefined;
  const past = withoutRevocations(publishers);
  // One by one, so that nobody can name something older than what was in force.
  let last = judged;
  while (last.head.revision > base.revision) {
    const [revision, hash] = [last.head.revision - 1, last.head.previous ?? ''];
    const { value } = await kv.get(revisionKey(namespace, revision, hash), { signal });
    const found = value === undefined ? undefined : judgeHead(value.value, namespace, past, undefined);
    const isBase = revision === base.revision;
    if (
      found === undefined ||
      isRefused(found) ||
      found.hash !== hash ||
      (isBase ? hash !== base.hash : found.head.stage?.id !== judged.head.stage?.id)
    )
      throw new TrysailError(
        'FLEET_UNVERIFIED',
        `Revision ${revision}, over which a change goes out in steps, is not in Consul or does not verify.`,
      );
    last = found;
  }
  return { judged: last, publishers: past };
}
