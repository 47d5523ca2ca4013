/**
 * A host that answers nothing any more, neither with a reset nor a refusal: only time-outs tell. In network namespaces
 * its link is cut; on shared loopback its Envoy is stopped (SIGSTOP), which to its peers looks much the same.
 */
import { figuresOf } from '../load/figures.ts';
import { signalProcess } from '../machines/process-table.ts';
import { meshMachine } from '../topology.ts';
import type { World } from '../world.ts';
import { failedOf, pause, type Scenario, servedAgain, underLoad } from './scenario.ts';

const VICTIM = 'details-2';
/** Connect and per-try time-outs are over and the host is ejected well before. */
const SETTLED_AFTER_MS = 3000;
const SILENCE_MS = 5000;

export const packetsDropped: Scenario = {
  name: 'packets dropped',
  title: `All packets to and from ${VICTIM} are dropped while load runs, then pass again`,
  run: async (world, report) => {
    const { silence, restore, how } = await silencing(world);
    report.note(how);
    let silencedAt = 0;
    let restoredAt = 0;
    const { figures, samples } = await underLoad(world, report, async (load) => {
      silencedAt = Date.now();
      await silence();
      try {
        await pause(world, SILENCE_MS);
      } finally {
        await restore();
      }
      restoredAt = Date.now();
      const backMs = await servedAgain(world, load, VICTIM, restoredAt);
      report.check(true, `${VICTIM} serves again`, `${(backMs / 1000).toFixed(1)} s after the packets pass again`);
      await pause(world, 1000);
    });
    const during = figuresOf(samples.filter(({ at }) => at >= silencedAt && at < restoredAt));
    const settled = figuresOf(samples.filter(({ at }) => at >= silencedAt + SETTLED_AFTER_MS && at < restoredAt));
    report.note(`while it was silent: ${failedOf(during)} failed, slowest ${during.maxMs.toFixed(0)} ms`);
    report.check(
      settled.requests > 0 && settled.failures === 0,
      `no request failed from ${SETTLED_AFTER_MS / 1000} s after the cut on`,
      failedOf(settled),
    );
    report.highlight(`${figures.failures} failed, slowest ${(figures.maxMs / 1000).toFixed(1)} s`);
  },
};

interface Silencing {
  readonly silence: () => Promise<void>;
  readonly restore: () => Promise<void>;
  readonly how: string;
}

async function silencing(world: World): Promise<Silencing> {
  const machine = meshMachine(VICTIM);
  const { cut, mend } = world.network;
  if (cut !== undefined && mend !== undefined)
    return {
      silence: () => cut(machine),
      restore: () => mend(machine),
      how: "its port of the bridge is set down: no packet gets through, Consul's gossip neither",
    };
  const pids = (await world.agent(VICTIM).envoys()).map((envoy) => envoy.pid);
  const signalAll = async (signal: NodeJS.Signals): Promise<void> => {
    for (const pid of pids) signalProcess(pid, signal);
  };
  return {
    silence: () => signalAll('SIGSTOP'),
    restore: () => signalAll('SIGCONT'),
    how: 'loopback packets cannot be dropped for one machine: its Envoy is stopped (SIGSTOP) instead, so it never answers',
  };
}
