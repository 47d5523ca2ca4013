/** Steps of leaving that tell others: Consul, that the services of this host are gone; the CA, that its credential is. */
import { join } from 'node:path';
import { statusKey } from '../fleet/layout.ts';
import { isRefusal } from '../identity/ca-addresses.ts';
import { HostCa } from '../identity/host-ca.ts';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
import { META } from '../model/registration.ts';
import { clientOf } from './consul-side.ts';
import { credentialOf } from './join-host.ts';
import { exists } from './leave-removal.ts';
import type { LeaveStep } from './leave-step.ts';
import type { LeaveTarget } from './leave-target.ts';
import type { AgentSettings } from './settings.ts';

const CONSUL_TIMEOUT_MS = 10_000;
const CA_TIMEOUT_MS = 10_000;

/** Whether this host says something of itself beside the fleet's configuration; whoever may not look has not said it. */
async function isSaid(
  { kv }: ReturnType<typeof clientOf>,
  { mesh }: AgentSettings,
  hostName: string,
): Promise<boolean> {
  if (mesh.fleet === undefined) return false;
  try {
    return (await kv.get(statusKey(hostName), { signal: AbortSignal.timeout(CONSUL_TIMEOUT_MS) })).value !== undefined;
  } catch (error) {
    if (errorCode(error) === 'CONSUL_ACL_DENIED') return false;
    throw error;
  }
}

/** The registrations that this host's agent made, by what it wrote into them: whether it lives or not. */
export function consulStep({ settings, hostName }: LeaveTarget): LeaveStep {
  const what = 'The services of this host are out of Consul';
  if (settings === undefined) {
    return {
      what,
      skip: 'without agent.yaml it is not known where Consul is',
      isUndone: async () => true,
      undo: async () => undefined,
    };
  }
  if (settings.registry !== 'consul') {
    return { what, skip: 'this host uses no Consul', isUndone: async () => true, undo: async () => undefined };
  }
  const withClient = async <T>(work: (client: ReturnType<typeof clientOf>) => Promise<T>): Promise<T> => {
    const client = clientOf(settings);
    try {
      return await work(client);
    } finally {
      client.close();
    }
  };
  const ours = async (client: ReturnType<typeof clientOf>) => {
    const services = await client.agent.services(AbortSignal.timeout(CONSUL_TIMEOUT_MS));
    return [...services.values()].filter(({ meta }) => meta[META.host] === hostName);
  };
  return {
    what,
    isUndone: async () =>
      withClient(async (client) => (await ours(client)).length === 0 && !(await isSaid(client, settings, hostName))),
    undo: async () =>
      withClient(async (client) => {
        const names: string[] = [];
        for (const { id, name } of await ours(client)) {
          await client.agent.deregister(id, { name, signal: AbortSignal.timeout(CONSUL_TIMEOUT_MS) });
          names.push(id);
        }
        if (await isSaid(client, settings, hostName)) {
          await client.kv.delete(statusKey(hostName));
          names.push(statusKey(hostName));
        }
        return names.join(', ');
      }),
  };
}

/** The CA is told; where it is away, the host goes all the same, and its operator can tell it later. */
export function credentialStep(target: LeaveTarget, signal: AbortSignal): LeaveStep {
  const { settings, trustDomain, hostName, stateDir } = target;
  let isTold = false;
  const isUnknown = settings === undefined || trustDomain === undefined;
  /** Whose CA cannot be told, as agent.yaml or meshconfig.yaml is gone or faulty. */
  const hasCredential = async () => stateDir !== undefined && exists(join(stateDir, 'identity', 'host.json'));
  const credential = async () =>
    settings === undefined || trustDomain === undefined ? undefined : credentialOf(settings, trustDomain);
  return {
    what: "The CA knows that this host's credential is given up",
    isUndone: async () => isTold || (isUnknown ? !(await hasCredential()) : (await credential()) === undefined),
    undo: async () => {
      if (isUnknown) {
        throw new TrysailError('LEAVE_FAILED', 'without agent.yaml and meshconfig.yaml it is not known whom to tell', {
          remedy: `The credential is destroyed here. On the CA's machine: trysail ca revoke ${hostName}`,
        });
      }
      const given = await credential();
      if (given === undefined || settings === undefined) return undefined;
      const { address } = settings.identity.ca;
      const ca = new HostCa({
        hostName,
        trustDomain,
        addresses: address === undefined ? [] : [address],
        requestTimeoutMs: CA_TIMEOUT_MS,
        now: () => Date.now(),
      });
      try {
        await ca.leave(given, signal);
        isTold = true;
        return `serial ${given.facts.serial}`;
      } catch (error) {
        // Revoked, or replaced by another machine: void already.
        if (isRefusal(error)) {
          isTold = true;
          return errorMessage(error);
        }
        throw new TrysailError('LEAVE_FAILED', errorMessage(error), {
          remedy: `The credential is destroyed here. Tell the CA when it is back: trysail ca revoke ${hostName}`,
          cause: error,
        });
      } finally {
        ca.close();
      }
    },
  };
}
