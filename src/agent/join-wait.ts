/** Waiting until the agent reports this host in the mesh, saying what is still missing. */
import { callApi } from '../api/client.ts';
import type { Status } from '../api/status.ts';
import { statusProblems } from '../api/status-problems.ts';
import { formatDuration } from '../lib/duration.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import type { JoinMachine } from './join-machine.ts';

export interface WaitOptions {
  /** The agent's API socket. */
  readonly socket: string;
  readonly timeoutMs: number;
  readonly machine: JoinMachine;
  /** Units that run the agent and Envoy; empty where systemd does not. */
  readonly units: readonly string[];
  /** Gets a sentence whenever what is waited for is another. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

const INTERVAL_MS = 250;
const CALL_TIMEOUT_MS = 3000;
/** How often systemd is asked whether a unit has failed for good. */
const UNIT_CHECK_MS = 2000;

/** What keeps a host from being in the mesh, one phrase each; empty: it is. */
function missing(status: Status): readonly string[] {
  const { agent, certificates, services, envoy } = status;
  const phrases: string[] = [];
  if (certificates.provider === 'trysail-ca' && certificates.host === undefined)
    phrases.push("the CA's word on this host");
  for (const { spiffeId, serial, error } of certificates.workloads) {
    if (serial === undefined) phrases.push(`a certificate for ${spiffeId}${error === undefined ? '' : ` (${error})`}`);
  }
  if (!envoy.ready) phrases.push(`Envoy${envoy.error === undefined ? '' : ` (${envoy.error})`}`);
  else if (agent.state === 'starting') phrases.push('the agent');
  for (const { namespace, name, registered, registrationError } of services) {
    if (registered !== false) continue;
    phrases.push(`${namespace}/${name} in Consul${registrationError === undefined ? '' : ` (${registrationError})`}`);
  }
  return phrases;
}

async function failedUnit({ machine, units }: WaitOptions): Promise<string | undefined> {
  for (const unit of units) {
    if ((await machine.run('systemctl', ['is-failed', '--quiet', unit], 10_000)).code === 0) return unit;
  }
  return undefined;
}

/**
 * The agent's status as soon as the host is in the mesh.
 * @throws TrysailError JOIN_INCOMPLETE with what is missing after `timeoutMs`; UNIT_FAILED when systemd gave a unit up
 */
export async function waitForMesh(options: WaitOptions): Promise<Status> {
  const { socket, timeoutMs, say, signal } = options;
  const endMs = performance.now() + timeoutMs;
  let unitsCheckedMs = performance.now();
  let said = '';
  let last: Status | undefined;
  for (;;) {
    let waitsFor: readonly string[];
    try {
      last = await callApi(socket, 'status', undefined, { signal, timeoutMs: CALL_TIMEOUT_MS });
      waitsFor = missing(last);
      if (waitsFor.length === 0) return last;
    } catch (error) {
      if (!(error instanceof TrysailError)) throw error;
      if (error.code === 'AGENT_FORBIDDEN') throw error;
      waitsFor = [`the agent (${errorMessage(error)})`];
    }
    const line = `Waiting for ${waitsFor.join('; ')}.`;
    if (line !== said) say(line);
    said = line;
    const nowMs = performance.now();
    if (nowMs - unitsCheckedMs > UNIT_CHECK_MS) {
      unitsCheckedMs = nowMs;
      const unit = await failedUnit(options);
      if (unit !== undefined) {
        throw new TrysailError('UNIT_FAILED', `${unit} has failed, and systemd does not start it again`, {
          remedy: `See why with "journalctl -u ${unit} -n 20"; then "systemctl restart ${unit}".`,
        });
      }
    }
    if (nowMs > endMs || signal.aborted) throw incomplete(waitsFor, last, timeoutMs);
    await sleep(INTERVAL_MS, signal);
  }
}

function incomplete(waitsFor: readonly string[], last: Status | undefined, timeoutMs: number): TrysailError {
  const problems = last === undefined ? [] : statusProblems(last, Date.now()).map(({ text }) => text);
  return new TrysailError(
    'JOIN_INCOMPLETE',
    [`not in the mesh after ${formatDuration(timeoutMs)}: waiting for ${waitsFor.join('; ')}`, ...problems].join(
      '\n  ',
    ),
    {
      remedy: 'The agent goes on trying. See to what is said above; "trysail status" shows when it is done.',
    },
  );
}
