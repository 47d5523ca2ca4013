/**
 * Taking this host out of traffic before its Envoy ends, whether the agent lives or not: its services leave Consul, then
 * Envoy finishes what is in progress.
 */
import { callApi } from '../api/client.ts';
import { AdminClient } from '../envoy/admin.ts';
import { type DrainResult, drain } from '../envoy/drain.ts';
import { TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import { META } from '../model/registration.ts';
import { sockets } from '../platform/vm/paths.ts';
import { clientOf } from './consul-side.ts';
import type { DrainSettings } from './drain-record.ts';

/** For all of Consul; what it does not take within this time its checks find out. */
const CONSUL_MS = 10_000;
/** Between two looks whether the agent has ended. */
const AGENT_POLL_MS = 100;

export interface DrainReport {
  /** Ids of the registrations that are gone from Consul. */
  readonly deregistered: readonly string[];
  /** Why some may be left. */
  readonly consulError: TrysailError | undefined;
  readonly drained: DrainResult;
}

/** The registrations that this host's agent made are told by what it wrote into them. */
async function deregister(settings: DrainSettings, deregistered: string[]): Promise<void> {
  const client = clientOf(settings);
  const signal = AbortSignal.timeout(CONSUL_MS);
  try {
    const services = await client.agent.services(signal);
    const ours = [...services.values()].filter(({ meta }) => meta[META.host] === settings.host.name);
    const outcomes = await Promise.allSettled(
      ours.map(async ({ id, name }) => {
        await client.agent.deregister(id, { name, signal });
        deregistered.push(id);
      }),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  } finally {
    client.close();
  }
}

/** One that hangs does nothing. */
async function isAgentAlive(settings: DrainSettings): Promise<boolean> {
  try {
    await callApi(sockets(settings.paths.run).api, 'status', undefined);
    return true;
  } catch (error) {
    if (error instanceof TrysailError) return false;
    throw error;
  }
}

/**
 * First out of Consul, so that nobody comes any more; then Envoy. Takes the drain time and some seconds at most.
 * @param waitMs for so long an agent that is about to end is waited for, before anything else
 * @throws TrysailError `DRAIN_BESIDE_AGENT`; what Consul and Envoy do not take is in the report
 */
export async function drainHost(settings: DrainSettings, waitMs = 0): Promise<DrainReport> {
  const end = performance.now() + waitMs;
  let isAlive = await isAgentAlive(settings);
  while (isAlive && performance.now() < end) {
    await sleep(AGENT_POLL_MS);
    isAlive = await isAgentAlive(settings);
  }
  if (isAlive)
    throw new TrysailError('DRAIN_BESIDE_AGENT', 'the agent of this host runs, and would register its services again', {
      remedy: 'Stop it first, by "systemctl stop trysail". Stopping trysail-envoy.service does all in order.',
    });
  const deregistered: string[] = [];
  let consulError: TrysailError | undefined;
  if (settings.registry === 'consul')
    try {
      await deregister(settings, deregistered);
    } catch (error) {
      consulError =
        error instanceof TrysailError
          ? error
          : new TrysailError('CONSUL_TIMEOUT', `Consul at ${settings.consul.address} did not answer in time`, {
              cause: error,
            });
    }
  const admin = new AdminClient(sockets(settings.envoy.runDir).admin);
  const drained = await drain(admin, { drainTimeMs: settings.envoy.drainTimeMs });
  return { deregistered: deregistered.toSorted(), consulError, drained };
}
