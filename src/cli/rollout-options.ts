/** The options of commands whose change may go out in steps, and what is told while it does. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { OpenFleet } from '../fleet/fleet.ts';
import type { RolloutResult } from '../fleet/follow-rollout.ts';
import type { RolloutProgress } from '../fleet/rollout.ts';
import type { SigningKey } from '../fleet/signing-key.ts';
import { parseDurationMs } from '../lib/duration.ts';
import { TrysailError } from '../lib/errors.ts';
import { printable } from './output.ts';

/** Hosts that a line names. */
const NAMED = 10;

/** How a roll-out is waited for. */
export interface WaitOptions {
  readonly timeout: number;
  readonly pause: number;
  readonly onTimeout: 'stay' | 'revert';
}

/** The same, with what only a first step has. */
export interface StageOptions extends WaitOptions {
  readonly stage?: string;
  readonly force?: string;
}

function milliseconds(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError('Write a duration, such as 30s or 5m.');
}

const GROUP = 'In steps:';

/** `--timeout`, `--pause` and `--on-timeout`. */
export function addWaitOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--timeout <duration>', 'For how long a step waits for its hosts.')
        .argParser(milliseconds)
        .default(120_000, '2m')
        .helpGroup(GROUP),
    )
    .addOption(
      new Option('--pause <duration>', 'For how long a step stands when all its hosts have it.')
        .argParser(milliseconds)
        .default(0, '0s')
        .helpGroup(GROUP),
    )
    .addOption(
      new Option('--on-timeout <word>', 'What becomes of a step whose hosts do not answer.')
        .choices(['stay', 'revert'])
        .default('stay')
        .helpGroup(GROUP),
    );
}

/** `--stage`, `--force`, and the options of waiting. */
export function addStageOptions(command: Command): Command {
  return addWaitOptions(
    command
      .addOption(
        new Option(
          '--stage <steps>',
          'Go out to so many hosts after each other, such as 1,5%,all; taken back when an Envoy refuses.',
        ).helpGroup(GROUP),
      )
      .option('--force <reason>', 'Publish what hosts that live do not understand, and why.'),
  );
}

const list = (names: readonly string[]): string =>
  names.length === 0
    ? ''
    : `${names.slice(0, NAMED).map(printable).join(', ')}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ''}`;

function stepTitle({ step, steps }: RolloutProgress): string {
  return `Step ${step} of ${steps.length} (${steps[step - 1] ?? ''})`;
}

/** One line: how many hosts have it and which do not. */
export function progressLine(progress: RolloutProgress): string {
  const { accepted, waiting, rejected, later } = progress;
  const total = accepted.length + waiting.length + rejected.length;
  return [
    `${stepTitle(progress)}: ${accepted.length} of ${total} ${total === 1 ? 'host has' : 'hosts have'} it`,
    ...(waiting.length === 0 ? [] : [`not yet: ${list(waiting)}`]),
    ...(rejected.length === 0 ? [] : [`refused: ${list(rejected.map(({ host }) => host))}`]),
    ...(later === 0 ? [] : [`${later} later`]),
  ].join('; ');
}

/** What there is to say of hosts beside that. */
export function hostLines({ rejected, silent }: RolloutProgress): readonly string[] {
  return [
    ...rejected.slice(0, NAMED).map(({ host, errors }) => `${printable(host)}: ${printable(errors[0] ?? 'refused')}`),
    ...(silent.length === 0 ? [] : [`Not waited for, as they say nothing: ${list(silent)}.`]),
  ];
}

const ways = (namespace: string): string =>
  `Go on: "trysail rollout continue -n ${namespace}". Back: "trysail rollout back -n ${namespace}".`;

/**
 * Waits for a roll-out, step by step, and tells of it on standard output, or on standard error where that is for data.
 * @throws TrysailError `FLEET_TAKEN_BACK`, `FLEET_ROLLOUT_STAYS`, and all of `followRollout`
 */
export async function waitForRollout(
  fleet: OpenFleet,
  namespace: string,
  key: SigningKey,
  { timeout, pause, onTimeout }: WaitOptions,
  isData: boolean,
): Promise<RolloutResult> {
  const { followRollout } = await import('../fleet/follow-rollout.ts');
  const interrupted = new AbortController();
  const onInterrupt = (): void => interrupted.abort();
  process.once('SIGINT', onInterrupt);
  process.once('SIGTERM', onInterrupt);
  const out = isData ? process.stderr : process.stdout;
  let isFirst = true;
  try {
    const result = await followRollout(fleet, namespace, {
      key,
      timeoutMs: timeout,
      pauseMs: pause,
      onTimeout,
      signal: interrupted.signal,
      onProgress: (progress) => {
        out.write(`${progressLine(progress)}\n`);
        if (isFirst) for (const line of hostLines({ ...progress, rejected: [] })) out.write(`${line}\n`);
        isFirst = false;
      },
    });
    const { state, outcome, progress } = result;
    if (state === 'done') return result;
    for (const line of hostLines({ ...progress, silent: [] })) process.stderr.write(`${line}\n`);
    if (state === 'reverted')
      throw new TrysailError(
        'FLEET_TAKEN_BACK',
        outcome === 'rejected'
          ? `The change is taken back: Envoy refused it on ${list(progress.rejected.map(({ host }) => host))}.`
          : `The change is taken back: no answer within ${timeout} ms of ${list(progress.waiting)}.`,
        { remedy: 'Correct it, or those hosts, and apply again; all hosts go back to what was in force before.' },
      );
    throw new TrysailError(
      outcome === 'interrupted' ? 'FLEET_ROLLOUT_INTERRUPTED' : 'FLEET_ROLLOUT_STAYS',
      `It stays at step ${progress.step} of ${progress.steps.length} (${progress.steps[progress.step - 1] ?? ''})${
        outcome === 'interrupted' ? '' : `: no answer of ${list(progress.waiting)}`
      }.`,
      { remedy: ways(namespace) },
    );
  } finally {
    process.removeListener('SIGINT', onInterrupt);
    process.removeListener('SIGTERM', onInterrupt);
  }
}
