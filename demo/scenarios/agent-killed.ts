/** The agent dies and another takes its place: Envoy never stops serving, and obeys the new one. */
import type { Load } from '../load/load.ts';
import { waitFor } from '../machines/wait.ts';
import { reviewsRouting } from '../mesh/bookshop-resources.ts';
import { PRODUCTPAGE } from '../topology.ts';
import type { World } from '../world.ts';
import { everybodyToV3, failedOf, pause, type Scenario, underLoad } from './scenario.ts';

export const agentKilled: Scenario = {
  name: 'agent killed',
  title: "The productpage's agent is killed (kill -9) while load runs, and started again",
  run: async (world, report) => {
    const agent = world.agent(PRODUCTPAGE.name);
    const envoys = async (): Promise<string> => (await agent.envoys()).map((envoy) => envoy.pid).join(', ');
    await everybodyToV3(world);
    const { figures } = await underLoad(world, report, async (load) => {
      const before = await envoys();
      const killed = agent.program().pid;
      await agent.program().end('SIGKILL');
      await pause(world, 1000);
      report.check((await envoys()) === before, 'Envoy goes on without its agent', `process ${before}`);
      const startedAt = Date.now();
      agent.start();
      await agent.ready();
      const readyMs = Date.now() - startedAt;
      const { agent: self, envoy } = await agent.status();
      const after = await envoys();
      report.check(
        after === before && envoy.restarts === 0 && String(envoy.pid) === before && self.pid !== killed,
        'the new agent has adopted it',
        `agent ${killed} → ${self.pid}, Envoy ${before} → ${after}, ready ${readyMs} ms after its start`,
      );
      await pause(world, 500);
      const changedAt = Date.now();
      await world.files.write('reviews', reviewsRouting({ v1: 100, v3: 0 }));
      const tookMs = await reviewsServe(world, load, 'v1', changedAt);
      report.check(true, 'Envoy obeys the new agent', `a changed weight took effect within ${tookMs} ms`);
      await world.files.write('reviews', reviewsRouting({ v1: 0, v3: 100 }));
      await pause(world, 500);
    });
    report.check(figures.failures === 0, 'no request failed', failedOf(figures));
    report.highlight('same Envoy process, adopted');
  },
};

/** Waits for the first answer of that version to a request sent after `from`. Returns the milliseconds between the two. */
async function reviewsServe(world: World, load: Load, version: string, from: number): Promise<number> {
  const what = `reviews ${version} serves`;
  const first = await waitFor({ what, timeoutMs: 120_000, everyMs: 10, signal: world.signal }, () =>
    load.since(from).find((sample) => sample.reviews === version),
  );
  return first.at - from;
}
