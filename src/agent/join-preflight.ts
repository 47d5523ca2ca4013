/** Whether this host can join, asked before anything is written: rights, the CA and its token, clocks, Consul. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isEntitled } from '../identity/entitlement.ts';
import { HostCa } from '../identity/host-ca.ts';
import type { JoinDescription } from '../identity/host-method.ts';
import { decodeJoinToken, type JoinToken } from '../identity/join-token.ts';
import { Backoff } from '../lib/backoff.ts';
import { formatDuration } from '../lib/duration.ts';
import { TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import { clientOf } from './consul-side.ts';
import { hostKeySha256 } from './join-host.ts';
import type { JoinMachine } from './join-machine.ts';
import type { AgentSettings } from './settings.ts';

/** Certificates begin this much in the past; peers whose clocks differ by more refuse each other's. */
const MOST_SKEW_MS = 120_000;
const CA_TIMEOUT_MS = 10_000;
/** How often a busy CA is asked again, and for how long: what it does not answer takes longer than what it puts off. */
const BUSY_ATTEMPTS = 12;
const BUSY_MS = 90_000;
const CONSUL_TIMEOUT_MS = 10_000;

/** A token that names its trust domain. Throws TOKEN_MALFORMED. */
export function readToken(text: string): { readonly token: JoinToken; readonly trustDomain: string } {
  const token = decodeJoinToken(text);
  const { trustDomain } = token;
  if (trustDomain !== undefined) return { token, trustDomain };
  throw new TrysailError(
    'TOKEN_MALFORMED',
    'the join token does not say the trust domain: an earlier version made it',
    {
      remedy: 'Make a new one with "trysail token create".',
    },
  );
}

async function isWritable(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    return true;
  } catch (error) {
    const parent = dirname(path);
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return missing && parent !== path ? isWritable(parent) : false;
  }
}

/** Throws JOIN_FORBIDDEN when this user may not write `folder`, or may not start units. */
export async function checkRights(machine: JoinMachine, folder: string, startsUnits: boolean): Promise<void> {
  const forbidden = (why: string): TrysailError =>
    new TrysailError('JOIN_FORBIDDEN', why, { remedy: 'Run this as root: sudo trysail …' });
  if (!(await isWritable(folder))) throw forbidden(`this user may not write to ${folder}`);
  if (startsUnits && machine.uid !== 0) throw forbidden('only root may start the units of systemd');
}

/** The CA's words on a token, under one code, with what to do. */
function tokenRefused(error: unknown): unknown {
  if (!(error instanceof TrysailError)) return error;
  if (error.code !== 'CA_UNAUTHENTICATED' && error.code !== 'CA_REFUSED') return error;
  return new TrysailError('JOIN_TOKEN_REFUSED', error.message, {
    remedy: 'Make a new one on the CA with "trysail token create", and join with that.',
    cause: error,
  });
}

/** Again while the CA has no time, as when two hundred hosts join at once; any other failure at once. */
async function unlessBusy<T>(
  ask: () => Promise<T>,
  { say, signal }: { readonly say: (line: string) => void; readonly signal: AbortSignal },
): Promise<T> {
  const backoff = new Backoff({ baseMs: 500, maxMs: 8000 });
  const endMs = performance.now() + BUSY_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const isBusy = error instanceof TrysailError && error.code === 'CA_BUSY';
      if (!isBusy || backoff.attempts >= BUSY_ATTEMPTS || performance.now() > endMs) throw error;
      if (backoff.attempts === 0) say('The CA is busy; asking again.');
      if (!(await sleep(backoff.nextMs(), signal))) throw error;
    }
  }
}

/**
 * What the CA says of the token, without using it.
 * @throws TrysailError CA_UNREACHABLE, CA_BUSY after some attempts, CA_ROOT_MISMATCH, CA_UNTRUSTED, JOIN_TOKEN_REFUSED, CLOCK_AHEAD, CLOCK_BEHIND
 */
export async function askCa(
  settings: AgentSettings,
  tokenText: string,
  { say, signal }: { readonly say: (line: string) => void; readonly signal: AbortSignal },
): Promise<JoinDescription & { readonly address: string }> {
  const { token, trustDomain } = readToken(tokenText);
  const { address } = settings.identity.ca;
  const ca = new HostCa({
    hostName: settings.host.name,
    trustDomain,
    addresses: address === undefined ? [] : [address],
    requestTimeoutMs: CA_TIMEOUT_MS,
    now: () => Date.now(),
  });
  try {
    const offered = { text: tokenText.trim(), token };
    const keySha256 = await hostKeySha256(settings.paths.state);
    const description = await unlessBusy(async () => ca.describe(offered, keySha256, signal), { say, signal });
    checkClock(description);
    return description;
  } catch (error) {
    throw tokenRefused(error);
  } finally {
    ca.close();
  }
}

function checkClock({ timeMs, address }: { readonly timeMs: number; readonly address: string }): void {
  const aheadMs = Date.now() - timeMs;
  if (Math.abs(aheadMs) <= MOST_SKEW_MS) return;
  const [code, word] = aheadMs > 0 ? ['CLOCK_AHEAD', 'ahead of'] : ['CLOCK_BEHIND', 'behind'];
  throw new TrysailError(
    code,
    `this host's clock is ${formatDuration(Math.abs(aheadMs))} ${word} the one of the CA at ${address} ` +
      `(${new Date(timeMs).toISOString()}): certificates would not be valid on both`,
    { remedy: 'Set the clock that is wrong, with NTP: timedatectl set-ntp true. Then join again.' },
  );
}

/** Throws JOIN_NOT_ENTITLED when the token does not allow an identity that this host has a service for. */
export function checkEntitlement(settings: AgentSettings, { allow, trustDomain }: JoinDescription): void {
  const refused = settings.services.filter(
    ({ namespace, serviceAccount }) => !isEntitled(allow, { trustDomain, namespace, serviceAccount }),
  );
  if (refused.length === 0) return;
  const wanted = [...new Set(refused.map(({ namespace, serviceAccount }) => `${namespace}/${serviceAccount}`))];
  throw new TrysailError(
    'JOIN_NOT_ENTITLED',
    `the token allows ${allow.join(', ')}, and this host runs ${wanted.join(', ')}`,
    {
      remedy: `Make one with "trysail token create ${wanted.map((id) => `--allow ${id}`).join(' ')} …", or correct the services.`,
    },
  );
}

/** Throws what Consul's client throws; `agent` read may be refused, which does not keep a host from joining. */
export async function checkConsul(settings: AgentSettings): Promise<void> {
  if (settings.registry !== 'consul') return;
  const client = clientOf(settings);
  try {
    await client.agent.self(AbortSignal.timeout(CONSUL_TIMEOUT_MS));
  } catch (error) {
    if (!(error instanceof TrysailError)) throw error;
    if (error.code !== 'CONSUL_ACL_DENIED') throw error;
  } finally {
    client.close();
  }
}
