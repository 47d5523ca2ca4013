/**
 * The xDS server with N clusters of three endpoints and M subscribers on a connection each: one endpoint changes, and
 * we take the server's CPU, its memory, and the time until the last subscriber has it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerCommand, ServerMessage, SubscriberMessage, XdsCase } from './xds-protocol.ts';

export const NAME = 'xds';

const WAIT_MS = 120_000;

/** The next message of one kind from a child process. */
async function next<M extends { readonly kind: string }, K extends M['kind']>(
  child: ChildProcess,
  kind: K,
): Promise<Extract<M, { readonly kind: K }>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => finish(() => reject(new Error(`no "${kind}" within ${WAIT_MS} ms`))), WAIT_MS);
    const onMessage = (message: unknown): void => {
      const received = message as M;
      if (received.kind === kind) finish(() => resolve(received as Extract<M, { readonly kind: K }>));
    };
    const onExit = (code: number | null): void =>
      finish(() => reject(new Error(`a process of the benchmark ended with ${code}`)));
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      settle();
    };
    child.on('message', onMessage);
    child.on('exit', onExit);
  });
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

interface Figures {
  readonly cpuMsPerUpdate: number;
  readonly allP50Ms: number;
  readonly allP99Ms: number;
  readonly rssMb: number;
  readonly syncCpuMs: number;
}

async function measure({ mode, clusters, subscribers, updates }: XdsCase): Promise<Figures> {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  const path = join(dir, 'xds.sock');
  const here = import.meta.dirname;
  const server = fork(join(here, 'xds-server.ts'), [`unix:${path}`, String(clusters)]);
  let client: ChildProcess | undefined;
  const order = (command: ServerCommand): void => void server.send(command);
  const usage = async (): Promise<Extract<ServerMessage, { readonly kind: 'usage' }>> => {
    const answer = next<ServerMessage, 'usage'>(server, 'usage');
    order({ kind: 'usage' });
    return answer;
  };
  /** Asks until the server has read `count` acknowledgements. */
  const acknowledged = async (count: number): Promise<Extract<ServerMessage, { readonly kind: 'usage' }>> => {
    for (;;) {
      const current = await usage();
      if (current.acknowledged >= count) return current;
      await delay(20);
    }
  };
  try {
    await next<ServerMessage, 'listening'>(server, 'listening');
    const idle = await usage();
    const subscriber = fork(join(here, 'xds-subscribers.ts'), [path, mode, String(clusters), String(subscribers)]);
    client = subscriber;
    await next<SubscriberMessage, 'synced'>(subscriber, 'synced');
    const synced = await acknowledged(2 * subscribers);

    /** One change; the milliseconds until the last subscriber has it. */
    const update = async (): Promise<number> => {
      const updated = next<ServerMessage, 'updated'>(server, 'updated');
      const received = next<SubscriberMessage, 'received'>(subscriber, 'received');
      order({ kind: 'update' });
      const start = BigInt((await updated).at);
      const last = (await received).at.map(BigInt).reduce((a, b) => (a > b ? a : b));
      return Number(last - start) / 1e6;
    };
    // The first updates run before the compiler has seen the code.
    const warmUp = 10;
    for (let i = 0; i < warmUp; i += 1) await update();
    const before = await acknowledged(2 * subscribers + warmUp * subscribers);
    const times: number[] = [];
    for (let i = 0; i < updates; i += 1) {
      times.push(await update());
      await delay(5);
    }
    const after = await acknowledged(2 * subscribers + (warmUp + updates) * subscribers);
    return {
      cpuMsPerUpdate: (after.cpuMs - before.cpuMs) / updates,
      allP50Ms: percentile(times, 0.5),
      allP99Ms: percentile(times, 0.99),
      rssMb: after.rssMb,
      syncCpuMs: synced.cpuMs - idle.cpuMs,
    };
  } finally {
    client?.kill();
    server.kill();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Measures delta and state of the world with 100, 1,000 and 10,000 clusters and 100 subscribers. */
export async function run(report: (name: string, value: number, unit: string) => void): Promise<void> {
  for (const mode of ['delta', 'sotw'] as const) {
    for (const clusters of [100, 1000, 10_000]) {
      const figures = await measure({ mode, clusters, subscribers: 100, updates: 50 });
      const name = `xds.${mode}.n${clusters}.m100`;
      report(`${name}.cpuMsPerUpdate`, figures.cpuMsPerUpdate, 'ms');
      report(`${name}.allP50Ms`, figures.allP50Ms, 'ms');
      report(`${name}.allP99Ms`, figures.allP99Ms, 'ms');
      report(`${name}.rssMb`, figures.rssMb, 'MB');
      report(`${name}.syncCpuMs`, figures.syncCpuMs, 'ms');
    }
  }
}
