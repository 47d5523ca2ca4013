/** Steps of a roll-out: which hosts take a revision, by an order of the hosts that everybody can compute. */
import { createHash } from 'node:crypto';
import { TrysailError } from '../lib/errors.ts';
import type { HeadDocument, Stage } from './documents.ts';

/** Beyond every place. */
const ALL = 'f'.repeat(16);
/** A longer roll-out would push what it goes back to out of the kept revisions. */
const MAX_STEPS = 16;
const STEP = /^(?:(?<count>[1-9]\d{0,6})|(?<share>\d{1,2}(?:\.\d+)?)%|all)$/;

/**
 * The steps of `1,5%,all`; without `all` at its end that is added.
 * @throws TrysailError `FLEET_STEPS`
 */
export function parseSteps(text: string): readonly string[] {
  const steps = text.split(',').map((step) => (step.trim() === '100%' ? 'all' : step.trim()));
  const wrong = steps.find((step) => !STEP.test(step) || Number.parseFloat(step) === 0);
  if (wrong !== undefined)
    throw new TrysailError('FLEET_STEPS', `"${wrong}" is no step of a roll-out.`, {
      remedy: 'Write numbers of hosts, shares and "all", such as 1,5%,50%,all.',
    });
  const all = steps.at(-1) === 'all' ? steps : [...steps, 'all'];
  if (all.length <= MAX_STEPS && all.indexOf('all') === all.length - 1) return all;
  throw new TrysailError('FLEET_STEPS', `"${text}" has more than ${MAX_STEPS} steps, or goes on after "all".`, {
    remedy: 'Write fewer steps, such as 1,5%,50%,all.',
  });
}

/** A host's place in the order of a roll-out: 16 hexadecimal digits, as good as random for each roll-out. */
function placeOf(id: string, host: string): string {
  return createHash('sha256').update(`${id}\n${host}`).digest('hex').slice(0, 16);
}

/** Whether a host takes the revision of this stage; without a stage every host does. */
export function takesPart(stage: Pick<Stage, 'id' | 'upTo'> | undefined, host: string): boolean {
  return stage === undefined || placeOf(stage.id, host) <= stage.upTo;
}

/**
 * Up to which place hosts take a step.
 * @param hosts those that the change concerns and that live
 */
export function upToOf(id: string, step: string, hosts: readonly string[]): string {
  const { count, share } = STEP.exec(step)?.groups ?? {};
  if (count === undefined && share === undefined) return ALL;
  const number = count === undefined ? Math.ceil((hosts.length * Number(share)) / 100) : Number(count);
  const places = hosts.map((host) => placeOf(id, host)).sort();
  // A host that joins meanwhile has its place in the order like all others.
  return number >= places.length ? ALL : (places[Math.max(0, number - 1)] ?? ALL);
}

/** The stage of a roll-out that has not come to its last step; undefined: none is under way. */
export function openStage(head: Pick<HeadDocument, 'stage'> | undefined): Stage | undefined {
  const stage = head?.stage;
  return stage === undefined || stage.step >= stage.steps.length ? undefined : stage;
}

/** `5% (2 of 3)` */
export function stepText({ steps, step }: Pick<Stage, 'steps' | 'step'>): string {
  return `${steps[step - 1] ?? ''} (${step} of ${steps.length})`;
}
