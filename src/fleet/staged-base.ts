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
  { namespace, head }: Judged,
  before: Before,
  publishers: Publishers,
  { kv, signal }: { readonly kv: Pick<KvStore, 'get'>; readonly signal: AbortSignal },
): Promise<StagedBase | undefined> {
  const base = head.stage?.base ?? null;
  if (base === null || (before?.head.revision ?? 0) >= base.revision) return undefined;
  const past = withoutRevocations(publishers);
  const { value } = await kv.get(revisionKey(namespace, base.revision, base.hash), { signal });
  const judged = value === undefined ? undefined : judgeHead(value.value, namespace, past, before);
  if (judged !== undefined && !isRefused(judged) && judged.hash === base.hash) return { judged, publishers: past };
  throw new TrysailError(
    'FLEET_UNVERIFIED',
    `Revision ${base.revision}, from which a change goes out in steps, is not in Consul or does not verify.`,
  );
}
