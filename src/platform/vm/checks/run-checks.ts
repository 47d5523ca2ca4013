/** Runs checks beside each other, each within its own time. */
import { errorMessage, TrysailError } from '../../../lib/errors.ts';
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { type CheckContext, type CheckOutcome, finding, type HostCheck } from './host-check.ts';

const TIMEOUT_MS = 5000;

/** `skipped`: it does not apply here, or nothing can be said; `facts` then has the reason alone. */
export type CheckState = 'ok' | 'warning' | 'error' | 'skipped';

/** One line of the report; the shape of `-o json`, whose fields are stable. */
export interface CheckResult {
  readonly name: string;
  readonly state: CheckState;
  /** What was looked at and is so. */
  readonly facts: readonly string[];
  /** Most severe first; `info` does not count for the state. */
  readonly findings: readonly Diagnostic[];
}

export interface RunOptions {
  /** Told when a check ends, with the names of those that still run. */
  readonly onProgress?: (running: readonly string[]) => void;
  readonly signal?: AbortSignal;
}

const ORDER = { error: 0, warning: 1, info: 2 } as const;

/** The state that findings amount to. */
function stateOf(findings: readonly Diagnostic[]): CheckState {
  if (findings.some(({ severity }) => severity === 'error')) return 'error';
  return findings.some(({ severity }) => severity === 'warning') ? 'warning' : 'ok';
}

/** An outcome as a line of the report. */
export function resultOf(name: string, { facts, findings, skipped }: CheckOutcome): CheckResult {
  if (skipped !== undefined) return { name, state: 'skipped', facts: [skipped], findings: [] };
  const sorted = findings.toSorted((a, b) => ORDER[a.severity] - ORDER[b.severity]);
  return { name, state: stateOf(findings), facts, findings: sorted };
}

/** A TrysailError becomes a finding of its own code; anything else is a defect and goes on. */
function unfinished(name: string, thrown: unknown): CheckOutcome {
  if (!(thrown instanceof TrysailError)) throw thrown;
  const remedy = thrown.remedy ?? 'Run it again with --only this check, and see what it waits for.';
  return { facts: [], findings: [finding('TRY1100', 'warning', `check ${name}`, errorMessage(thrown), remedy)] };
}

async function runOne(check: HostCheck, context: Omit<CheckContext, 'signal'>, outer: AbortSignal | undefined) {
  if (check.needsConfiguration === true && !context.needs.known)
    return resultOf(check.name, { facts: [], findings: [], skipped: 'agent.yaml has errors' });
  const timeoutMs = check.timeoutMs ?? TIMEOUT_MS;
  const stop = new AbortController();
  const signal = outer === undefined ? stop.signal : AbortSignal.any([stop.signal, outer]);
  const late = Promise.withResolvers<CheckOutcome>();
  signal.addEventListener('abort', () =>
    late.resolve({
      facts: [],
      findings: [
        finding(
          'TRY1100',
          'warning',
          `check ${check.name}`,
          `it was given up after ${timeoutMs / 1000} s`,
          'See to the load of this host and to what the check asks, and run it again.',
        ),
      ],
    }),
  );
  const timer = setTimeout(() => stop.abort(), timeoutMs);
  try {
    const work = check.run({ ...context, signal });
    return resultOf(check.name, await Promise.race([work, late.promise]));
  } catch (error) {
    return resultOf(check.name, unfinished(check.name, error));
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** The results in the order of `checks`. Takes no longer than the longest of their time limits. */
export async function runChecks(
  checks: readonly HostCheck[],
  context: Omit<CheckContext, 'signal'>,
  options: RunOptions = {},
): Promise<readonly CheckResult[]> {
  const running = new Set(checks.map(({ name }) => name));
  options.onProgress?.([...running]);
  return Promise.all(
    checks.map(async (check) => {
      const result = await runOne(check, context, options.signal);
      running.delete(check.name);
      options.onProgress?.([...running]);
      return result;
    }),
  );
}
