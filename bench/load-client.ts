// A load generator in a process of its own: keep-alive HTTP/1.1 over a fixed number of connections, either as fast as
// they answer or at a fixed rate. Arguments: URL, connections, seconds, requests a second (0 = as fast as possible).
// Prints one JSON line: {requests, failures, seconds, p50Us, p99Us}.
import { Pool } from 'undici';

const [url = '', connections = '16', seconds = '3', rate = '0'] = process.argv.slice(2);
const { origin, pathname } = new URL(url);
const pool = new Pool(origin, { connections: Number(connections), pipelining: 1 });
const started = performance.now();
const end = started + Number(seconds) * 1000;
const latenciesUs: number[] = [];
let failures = 0;
let issued = 0;

async function request(): Promise<void> {
  const begin = performance.now();
  try {
    const { statusCode, body } = await pool.request({ path: pathname, method: 'GET' });
    await body.dump();
    if (statusCode === 200) latenciesUs.push((performance.now() - begin) * 1000);
    else failures += 1;
  } catch {
    failures += 1;
  }
}

/** Waits until request number `n` is due when a rate is set; spins through the event loop for sub-millisecond gaps. */
async function untilDue(n: number): Promise<void> {
  if (rate === '0') return;
  const due = started + (n / Number(rate)) * 1000;
  while (performance.now() < due) {
    await new Promise((resolve) => {
      if (due - performance.now() > 2) setTimeout(resolve, 1);
      else setImmediate(resolve);
    });
  }
}

await Promise.all(
  Array.from({ length: Number(connections) }, async () => {
    while (performance.now() < end) {
      const n = issued;
      issued += 1;
      await untilDue(n);
      if (performance.now() < end) await request();
    }
  }),
);
const elapsedSeconds = (performance.now() - started) / 1000;
await pool.close();
latenciesUs.sort((a, b) => a - b);
const percentile = (p: number): number => Math.round(latenciesUs[Math.floor(latenciesUs.length * p)] ?? 0);
console.log(
  JSON.stringify({
    requests: latenciesUs.length,
    failures,
    seconds: elapsedSeconds,
    p50Us: percentile(0.5),
    p99Us: percentile(0.99),
  }),
);
