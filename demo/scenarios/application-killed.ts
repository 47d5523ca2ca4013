/** One of two instances of details loses its application: its Envoy answers 503, the caller's goes elsewhere. */
import { meshMachine } from '../topology.ts';
import { failedOf, pause, type Scenario, servedAgain, underLoad } from './scenario.ts';

const VICTIM = 'details-1';

export const applicationKilled: Scenario = {
  name: 'application killed',
  title: `The application of ${VICTIM} is killed (kill -9) while load runs, and started again`,
  run: async (world, report) => {
    const machine = meshMachine(VICTIM);
    const { figures } = await underLoad(world, report, async (load) => {
      await world.applications.of(machine).end('SIGKILL');
      await pause(world, 3000);
      const startedAt = Date.now();
      world.applications.start(machine);
      const backMs = await servedAgain(world, load, VICTIM, startedAt);
      report.check(true, `${VICTIM} serves again`, `${(backMs / 1000).toFixed(1)} s after its application's start`);
    });
    report.check(figures.failures === 0, 'no request failed', failedOf(figures));
    report.highlight('the other instance serves');
  },
};
