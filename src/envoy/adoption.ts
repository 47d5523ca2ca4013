/** Whether an Envoy that an earlier agent left behind is the one that we would start. */
import type { AdminClient } from './admin.ts';
import type { EnvoyFiles } from './files.ts';
import { askIdentity, binaryStamp, type Found, fileHash } from './running-envoy.ts';

/** How we would start it. */
export interface Wanted {
  readonly binary: string;
  readonly bootstrapHash: string;
  readonly argumentsHash: string;
}

export type Verdict =
  /** `outdated`: why a start would give something else, without being worth an interruption. */
  | { readonly kind: 'adopt'; readonly version: string; readonly outdated: string | undefined }
  /** It serves, but not as it has to. */
  | { readonly kind: 'replace'; readonly reason: string }
  /** It does not serve, or is on its way out. */
  | { readonly kind: 'end'; readonly reason: string };

/** Asks the process and compares what is known of its start. */
export async function judge(found: Found, wanted: Wanted, files: EnvoyFiles, admin: AdminClient): Promise<Verdict> {
  const { identity, record } = found;
  const info = await askIdentity(admin, identity, files.bootstrap);
  if (info === undefined) return { kind: 'end', reason: 'its admin interface does not answer' };
  // The listeners of a drain that was begun stay closed.
  if (info.state === 'DRAINING') return { kind: 'end', reason: 'it drains' };
  // Without a record: nobody writes the file but an agent that starts an Envoy with it.
  const bootstrapHash = record?.bootstrapHash ?? (await fileHash(files.bootstrap));
  if (bootstrapHash !== wanted.bootstrapHash) return { kind: 'replace', reason: 'another bootstrap' };
  if (record !== undefined && record.argumentsHash !== wanted.argumentsHash)
    return { kind: 'replace', reason: 'other arguments' };
  const stamp = await binaryStamp(wanted.binary).catch(() => undefined);
  const outdated = record !== undefined && record.binary !== stamp ? 'another binary' : undefined;
  return { kind: 'adopt', version: info.version, outdated };
}
