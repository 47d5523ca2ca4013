// Requests at a fixed rate to several URLs at the same time until SIGTERM, to find the longest time without an answer.
// Two ways in one process: what holds up the machine or this process shows on both, what holds up one way on that one.
// Arguments: FILE, requests a second to each URL, URLs. Writes a list of a `PauseResult` for each URL into FILE; an empty
// list as soon as it begins to count, after its own first requests, which are slow.
// From Node's own library alone: it runs on test machines.
import { writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';

/** What one URL's client saw. */
export interface PauseResult {
  readonly requests: number;
  /** Why, of those that were not answered with 200. */
  readonly failures: readonly string[];
  /** The longest time between two answers that came after each other, in milliseconds. */
  readonly longestPauseMs: number;
  /** The longest time that one request took, from when it was due. */
  readonly longestRequestMs: number;
}

const [file = '', rate = '500', ...urls] = process.argv.slice(2);
const INTERVAL_MS = 1000 / Number(rate);
const TIMEOUT_MS = 10_000;
const WARM_UP_MS = 1000;

interface Client {
  /** Forgets what was so far. */
  reset(): void;
  end(): Promise<PauseResult>;
}

function startClient(url: string): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const failures: string[] = [];
  const running = new Set<Promise<void>>();
  let requests = 0;
  let dueMs = performance.now();
  /** What was due before does not count. */
  let sinceMs = dueMs;
  let lastMs = dueMs;
  let longestPauseMs = 0;
  let longestRequestMs = 0;
  const answered = (wasDueMs: number): void => {
    const now = performance.now();
    requests += 1;
    longestPauseMs = Math.max(longestPauseMs, now - lastMs);
    if (wasDueMs >= sinceMs) longestRequestMs = Math.max(longestRequestMs, now - wasDueMs);
    lastMs = now;
  };
  const send = async (wasDueMs: number): Promise<void> =>
    new Promise((resolve) => {
      const fail = (why: string): void => {
        failures.push(`${new Date().toISOString()} ${why}`);
        resolve();
      };
      const call = get(url, { agent, timeout: TIMEOUT_MS }, (response) => {
        response.resume();
        response.once('end', () => {
          if (response.statusCode !== 200) return fail(`status ${response.statusCode}`);
          answered(wasDueMs);
          return resolve();
        });
        response.once('error', (error) => fail(error.message));
      });
      call.once('timeout', () => call.destroy(new Error('timeout')));
      call.once('error', (error) => fail(error.message));
    });
  // By the clock, whatever the answers do: who waits for one would hide what the next would have met.
  const ticking = setInterval(() => {
    for (const now = performance.now(); dueMs <= now; dueMs += INTERVAL_MS) {
      const request = send(dueMs);
      running.add(request);
      void request.finally(() => running.delete(request));
    }
  }, 1);
  return {
    reset: () => {
      dueMs = performance.now();
      sinceMs = dueMs;
      requests = 0;
      failures.length = 0;
      longestPauseMs = 0;
      longestRequestMs = 0;
    },
    end: async () => {
      clearInterval(ticking);
      await Promise.all(running);
      agent.destroy();
      return { requests, failures, longestPauseMs, longestRequestMs };
    },
  };
}

const clients = urls.map(startClient);
setTimeout(() => {
  for (const client of clients) client.reset();
  writeFileSync(file, '[]');
}, WARM_UP_MS);
async function stop(): Promise<void> {
  writeFileSync(file, JSON.stringify(await Promise.all(clients.map(async (client) => client.end()))));
  process.exit(0);
}
process.once('SIGTERM', () => void stop());
