/** One of two instances of ratings loses its Envoy: open connections are reset, new ones refused. */
import { signalProcess } from '../machines/process-table.ts';
import { waitFor } from '../machines/wait.ts';
import { everybodyToV3, failedOf, pause, type Scenario, servedAgain, underLoad } from './scenario.ts';

const VICTIM = 'ratings-1';

export const envoyKilled: Scenario = {
  name: 'Envoy killed',
  title: `The Envoy of ${VICTIM} is killed (kill -9) while load runs; its agent starts another`,
  run: async (world, report) => {
    await everybodyToV3(world);
    const agent = world.agent(VICTIM);
    const { figures } = await underLoad(world, report, async (load) => {
      const before = (await agent.envoys()).map((envoy) => envoy.pid);
      const killedAt = Date.now();
      for (const pid of before) signalProcess(pid, 'SIGKILL');
      const [after] = await waitFor(
        { what: 'the agent starts another Envoy', timeoutMs: 120_000, signal: world.signal },
        async () => {
          const running = (await agent.envoys()).filter((envoy) => !before.includes(envoy.pid));
          return running.length > 0 ? running : undefined;
        },
      );
      report.check(before.length === 1, `a new Envoy runs`, `process ${before.join(', ')} → ${after?.pid ?? '?'}`);
      await agent.ready();
      const backMs = await servedAgain(world, load, VICTIM, Date.now());
      const sinceKill = Date.now() - killedAt;
      report.note(
        `${VICTIM} serves again ${(sinceKill / 1000).toFixed(1)} s after the kill (${backMs} ms after ready)`,
      );
      await pause(world, 1000);
    });
    report.check(figures.failures === 0, 'no request failed', failedOf(figures));
    report.highlight('the other instance serves');
  },
};
