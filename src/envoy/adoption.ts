/** Whether an Envoy that runs already is the one that we would start, and if not, how to get from it to that one. */
import { execFile } from 'node:child_process';
import type { AdminClient, ServerInfo } from './admin.ts';
import { argumentOf, argumentsHash } from './arguments.ts';
import type { EnvoyFiles } from './files.ts';
import { askIdentity, binaryStamp, type Found, fileHash } from './running-envoy.ts';

const VERSION_TIMEOUT_MS = 10_000;

/** How we would start it. */
export interface Wanted {
  readonly binary: string;
  readonly bootstrapHash: string;
  /** Without the program, for any epoch. */
  readonly args: readonly string[];
}

export type Verdict =
  | { readonly kind: 'adopt'; readonly info: ServerInfo }
  /** Another one has to take its place, with a hot restart where `cannotShare` says nothing else. */
  | {
      readonly kind: 'replace';
      readonly reason: string;
      /** Undefined where its admin interface does not answer. */
      readonly info: ServerInfo | undefined;
      readonly cannotShare: string | undefined;
    };

/** The version of what two Envoys of a hot restart share, as the program says it. Never rejects. */
async function hotRestartVersion(binary: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(binary, ['--hot-restart-version'], { timeout: VERSION_TIMEOUT_MS }, (_, stdout, stderr) =>
      // Envoy says it on the one, others may on the other.
      resolve(/^\d+\.\d+\S*$/m.exec(`${stdout}\n${stderr}`)?.[0]),
    );
  });
}

/** Why a hot restart from this Envoy is impossible; undefined when it is possible. */
async function whyNotShared(found: Found, info: ServerInfo | undefined, wanted: Wanted): Promise<string | undefined> {
  const { commandLine } = found;
  if (info?.hotRestart === false || commandLine.includes('--disable-hot-restart'))
    return 'it was started without hot restart';
  const socket = info?.hotRestartSocket ?? argumentOf(commandLine, '--socket-path');
  const baseId = info?.baseId ?? argumentOf(commandLine, '--base-id');
  if (socket !== argumentOf(wanted.args, '--socket-path') || baseId !== argumentOf(wanted.args, '--base-id'))
    return 'it has another base id or socket for hot restarts';
  if (info === undefined) return undefined;
  const ours = await hotRestartVersion(wanted.binary);
  // A program that does not say it fails at its start, and leaves the old one serving.
  return ours === undefined || ours === info.hotRestartVersion
    ? undefined
    : `their versions of hot restart differ (${info.hotRestartVersion}, ${ours})`;
}

/** What is different between the Envoy that runs and the one that is wanted; undefined when nothing is. */
async function difference(found: Found, info: ServerInfo | undefined, wanted: Wanted, files: EnvoyFiles) {
  if (info === undefined) return 'its admin interface does not answer';
  // The listeners of a drain that was begun stay closed.
  if (info.state === 'DRAINING') return 'it drains';
  if (info.configPath !== files.bootstrap) return 'the last good configuration';
  const { record, commandLine } = found;
  // Without a record: nobody writes the file but an agent that starts an Envoy with it.
  const bootstrapHash = record?.bootstrapHash ?? (await fileHash(files.bootstrap));
  if (bootstrapHash !== wanted.bootstrapHash) return 'another bootstrap';
  const args = commandLine.length > 1 ? argumentsHash(commandLine.slice(1)) : record?.argumentsHash;
  if (args !== undefined && args !== argumentsHash(wanted.args)) return 'other arguments';
  const stamp = await binaryStamp(wanted.binary).catch(() => undefined);
  // A program that is missing cannot be started: what runs is better.
  return record !== undefined && stamp !== undefined && record.binary !== stamp ? 'another binary' : undefined;
}

/** Asks the process and compares what is known of its start. */
export async function judge(found: Found, wanted: Wanted, files: EnvoyFiles, admin: AdminClient): Promise<Verdict> {
  const info = await askIdentity(admin, found);
  const reason = await difference(found, info, wanted, files);
  if (reason === undefined && info !== undefined) return { kind: 'adopt', info };
  return {
    kind: 'replace',
    reason: reason ?? '',
    info,
    cannotShare: await whyNotShared(found, info, wanted),
  };
}
