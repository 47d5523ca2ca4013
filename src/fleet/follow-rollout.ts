/**
 * Waits for a change that goes out in steps: until the hosts of a step say that their Envoys have it, then on to the next
 * step, and all of it back where an Envoy refuses. Others may go on with it, or back, at the same time.
 */
import { isPassing, throughOutage } from '../consul/outage.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import { catalogueHosts } from './catalogue-hosts.ts';
import type { OpenFleet } from './fleet.ts';
import type { FleetStore } from './fleet-store.ts';
import { look, nextStep, type Rollout, type RolloutProgress, rolloutOf, takeBack } from './rollout.ts';
import type { SigningKey } from './signing-key.ts';
import { stepText } from './stage.ts';

const POLL_MS = 200;
/** More for many hosts: each look reads what all of them say. */
const POLL_MS_A_HOST = 0.1;

/** What became of a step: it is in force; an Envoy refused; hosts did not answer in time; nobody waits any more. */
export type StepOutcome = 'accepted' | 'rejected' | 'late' | 'interrupted';

export interface RolloutResult {
  /** `done`: at its last step; `reverted`: taken back; `stays`: it is where it was when nobody waited any more. */
  readonly state: 'done' | 'reverted' | 'stays';
  readonly outcome: StepOutcome;
  readonly progress: RolloutProgress;
}

export interface RolloutOptions {
  readonly key: SigningKey;
  /** For how long a step waits for its hosts, and for Consul where that is away. */
  readonly timeoutMs: number;
  /** For how long a step stands when all its hosts have it, before the next one. */
  readonly pauseMs: number;
  readonly onTimeout: 'stay' | 'revert';
  /** Aborts the waiting; what is published stays. */
  readonly signal: AbortSignal;
  /** Called when something has changed. */
  readonly onProgress: (progress: RolloutProgress) => void;
}

/** `moved`: another revision is in force than the one that is waited for. */
interface Watch {
  readonly outcome: StepOutcome | 'moved';
  readonly progress: RolloutProgress;
}

/** @returns undefined: hosts are waited for */
function outcomeOf({ rejected, waiting }: RolloutProgress): 'accepted' | 'rejected' | undefined {
  if (rejected.length > 0) return 'rejected';
  return waiting.length === 0 ? 'accepted' : undefined;
}

async function isInForce(store: FleetStore, { heads: [held] }: Rollout): Promise<boolean> {
  const entry = held === undefined ? undefined : await store.head(held.namespace);
  return entry !== undefined && Buffer.from(entry.value).toString('utf8') === held?.sealed;
}

async function waitForStep(
  store: FleetStore,
  rollout: Rollout,
  registered: readonly string[],
  { timeoutMs, pauseMs, signal, onProgress }: RolloutOptions,
): Promise<Watch> {
  let end = performance.now() + timeoutMs;
  let told = '';
  let isStanding = false;
  for (;;) {
    const progress = await throughOutage(async () => look(store, rollout, registered), timeoutMs, signal);
    if (!(await throughOutage(async () => isInForce(store, rollout), timeoutMs, signal)))
      return { outcome: 'moved', progress };
    const text = JSON.stringify(progress);
    if (text !== told) onProgress(progress);
    told = text;
    const outcome = outcomeOf(progress);
    if (outcome === 'rejected') return { outcome, progress };
    if (outcome === 'accepted' && !isStanding) {
      isStanding = true;
      end = performance.now() + pauseMs;
    }
    if (performance.now() >= end) return { outcome: isStanding ? 'accepted' : 'late', progress };
    const hosts = progress.accepted.length + progress.waiting.length + progress.later;
    if (!(await sleep(POLL_MS + hosts * POLL_MS_A_HOST, signal))) return { outcome: 'interrupted', progress };
  }
}

const hasCode = (error: unknown, code: string): boolean => error instanceof TrysailError && error.code === code;

/** @param why for history */
async function backFor(fleet: OpenFleet, namespace: string, why: string, options: RolloutOptions): Promise<void> {
  const { key, timeoutMs, signal } = options;
  let hasFailed = false;
  const work = async (): Promise<void> => {
    try {
      await takeBack(fleet, namespace, { key, message: `taken back: ${why}` });
    } catch (error) {
      // It was done, though the answer was lost.
      if (hasFailed && hasCode(error, 'FLEET_NO_ROLLOUT')) return;
      hasFailed = true;
      throw error;
    }
  };
  try {
    await throughOutage(work, timeoutMs, signal);
  } catch (error) {
    if (!(error instanceof TrysailError) || isPassing(error)) throw error;
    throw new TrysailError(error.code, `It is to be taken back (${why}), and stays: ${error.message}`, {
      remedy: `${error.remedy ?? ''} Then: "trysail rollout back -n ${namespace}".`.trimStart(),
      cause: error,
    });
  }
}

function lost({ stage }: Rollout, namespace: string, cause: unknown, isInterrupted: boolean): TrysailError {
  return new TrysailError(
    isInterrupted ? 'FLEET_ROLLOUT_INTERRUPTED' : 'FLEET_ROLLOUT_STAYS',
    `It stays where it is, at step ${stage.step} of ${stage.steps.length} or the one after: ${errorMessage(cause)}`,
    {
      remedy: `See "trysail rollout status -n ${namespace}"; go on: "trysail rollout continue -n ${namespace}", or back: "trysail rollout back -n ${namespace}".`,
      cause,
    },
  );
}

/** What a Consul shows for a moment that has started anew, though more was there: its log is not read to the end. */
const LAGGING: ReadonlySet<string> = new Set(['FLEET_CONTENT_MISSING', 'FLEET_MISSING', 'FLEET_UNVERIFIED']);

const mayCatchUp = (error: unknown): boolean =>
  isPassing(error) || (error instanceof TrysailError && LAGGING.has(error.code));

function lagging(namespace: string, shown: number, seen: number): TrysailError {
  return new TrysailError(
    'FLEET_UNVERIFIED',
    `Consul shows revision ${shown} of ${namespace}, and ${seen} was published.`,
    {
      remedy: 'Find out who can write there. "trysail fleet repair" puts the newest revision that verifies back.',
    },
  );
}

/** The roll-out, unless another change has taken its place. */
async function sameRollout(store: FleetStore, namespace: string, last: Rollout | undefined): Promise<Rollout> {
  const publishers = await store.publishers();
  if (last === undefined) return rolloutOf(store, publishers, namespace);
  const { stage, heads } = last;
  const seen = Math.max(...heads.map((one) => (one.namespace === namespace ? one.head.revision : 0)));
  const { held } = await store.current(namespace, publishers);
  const { revision = 0, action = '' } = held?.head ?? {};
  if (revision < seen) throw lagging(namespace, revision, seen);
  if (held?.head.stage?.id === stage.id) {
    const rollout = await rolloutOf(store, publishers, namespace).catch((error: unknown) => {
      throw hasCode(error, 'FLEET_NO_ROLLOUT') ? lagging(namespace, 0, seen) : error;
    });
    if (rollout.stage.id === stage.id) return rollout;
  }
  const by = publishers.byKey.get(held?.key ?? '')?.publisher.name ?? 'somebody';
  throw new TrysailError(
    'FLEET_NO_ROLLOUT',
    `The change goes out no more: ${by} has published revision ${revision} of ${namespace} (${action}). It was at step ${stepText(stage)}.`,
    { remedy: `See "trysail history -n ${namespace}".` },
  );
}

/** Does something with a roll-out; false: there is none any more, or so Consul says at the moment. */
async function isStill(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (hasCode(error, 'FLEET_NO_ROLLOUT')) return false;
    throw error;
  }
}

/**
 * Goes on with the roll-out of a namespace until it is done, taken back, or nobody waits any more.
 * @throws TrysailError `FLEET_ROLLOUT_STAYS`, `FLEET_ROLLOUT_INTERRUPTED` where Consul is away for longer than a step waits;
 * `FLEET_NO_ROLLOUT` where there is none, or none any more; `FLEET_…`, `CONSUL_…`: it stays where it is then
 */
export async function followRollout(
  fleet: OpenFleet,
  namespace: string,
  options: RolloutOptions,
): Promise<RolloutResult> {
  const { store } = fleet;
  const { key, onTimeout, timeoutMs, signal } = options;
  let rollout: Rollout | undefined;
  let registered: readonly string[] | undefined;
  try {
    for (;;) {
      const last = rollout;
      const mayPass = last === undefined ? isPassing : mayCatchUp;
      rollout = await throughOutage(async () => sameRollout(store, namespace, last), timeoutMs, signal, mayPass);
      registered ??= await catalogueHosts(
        fleet,
        rollout.heads.map((one) => one.namespace),
      );
      const { outcome, progress } = await waitForStep(store, rollout, registered, options);
      if (outcome === 'moved') continue;
      if (outcome === 'rejected' || (outcome === 'late' && onTimeout === 'revert')) {
        const refusing = `refused by Envoy on ${progress.rejected[0]?.host ?? ''}`;
        const why = outcome === 'rejected' ? refusing : 'hosts did not answer';
        if (!(await isStill(async () => backFor(fleet, namespace, why, options)))) continue;
        return { state: 'reverted', outcome, progress };
      }
      if (outcome !== 'accepted') return { state: 'stays', outcome, progress };
      const { stage } = rollout;
      if (stage.step >= stage.steps.length) return { state: 'done', outcome, progress };
      await isStill(async () => throughOutage(async () => nextStep(store, namespace, stage, key), timeoutMs, signal));
    }
  } catch (error) {
    if (rollout === undefined || !isPassing(error)) throw error;
    throw lost(rollout, namespace, error, signal.aborted);
  }
}
