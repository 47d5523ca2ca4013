/** Two instances of details share one limit a caller: each takes its part, and nobody asks anybody. */
import { join } from 'node:path';
import { runCommand } from '../machines/run-command.ts';
import { waitFor } from '../machines/wait.ts';
import { detailsLimit } from '../mesh/bookshop-resources.ts';
import { PRODUCTPAGE, UPSTREAM_PORTS } from '../topology.ts';
import type { World } from '../world.ts';
import type { Scenario } from './scenario.ts';

const LIMIT = 4;
const SENT = 12;

export const rateLimited: Scenario = {
  name: 'rate limit',
  title: `details takes ${LIMIT} requests a minute of each end-user, over both of its instances together`,
  run: async (world, report) => {
    await world.files.write('limits', detailsLimit(LIMIT));
    try {
      // While one of the two does not count yet, every second request passes.
      await waitFor({ what: 'both instances count', timeoutMs: 120_000, signal: world.signal }, async () => {
        return (await passed(world, 8, 'probe')) === 0 ? true : undefined;
      });
      const ofBot = await passed(world, SENT, 'bot');
      const ofOthers = await passed(world, SENT, undefined);
      // A request more may come while they are sent: the buckets fill steadily.
      report.check(
        ofBot >= LIMIT && ofBot <= LIMIT + 1,
        `end-user: bot gets through ${LIMIT} times`,
        `${ofBot} of ${SENT}, 429 for the others`,
      );
      report.check(ofOthers === SENT, 'requests without end-user are not counted', `${ofOthers} of ${SENT}`);
      report.highlight(`${ofBot} of ${SENT} pass`);
    } finally {
      await world.files.remove('limits');
    }
  },
};

const PROGRAM = join(import.meta.dirname, '../machines/http-statuses.ts');

/** How many of `count` requests of a user were not answered with 429. Throws an Error for any other failure. */
async function passed(world: World, count: number, user: string | undefined): Promise<number> {
  const { network } = world;
  const url = `http://${network.loopbackOf(PRODUCTPAGE)}:${UPSTREAM_PORTS.details}/details/1`;
  const headers = user === undefined ? [] : [`end-user:${user}`];
  const argv = [process.execPath, PROGRAM, String(count), url, ...headers];
  const statuses = (await runCommand(network.commandOn(PRODUCTPAGE, argv))).trim().split('\n');
  const odd = statuses.find((status) => status !== '200' && status !== '429');
  if (odd !== undefined || statuses.length !== count) throw new Error(`details answered ${statuses.join(' ')}`);
  return statuses.filter((status) => status === '200').length;
}
