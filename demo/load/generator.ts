/**
 * The load: GETs at a constant rate over kept-alive connections, each reported as a `Sample`, in lines of JSON arrays on
 * standard output. `generator.ts URL REQUESTS_PER_SECOND`; ends on SIGTERM or when standard input closes, after the
 * requests under way.
 */
import { Agent, request } from 'node:http';
import { json } from 'node:stream/consumers';
import type { Sample } from './sample.ts';

const IN_FLIGHT_LIMIT = 256;
const TIMEOUT_MS = 8000;
const REPORT_EVERY_MS = 50;

const [address = '', rateText = ''] = process.argv.slice(2);
const url = new URL(address);
const intervalMs = 1000 / Number(rateText);

const connections = new Agent({ keepAlive: true });
let inFlight = 0;
let samples: Sample[] = [];
let stopped = false;
let due = performance.now();

function report(): void {
  if (samples.length === 0) return;
  process.stdout.write(`${JSON.stringify(samples)}\n`);
  samples = [];
}

function send(): void {
  const at = Date.now();
  const started = performance.now();
  let done = false;
  const finish = (outcome: Omit<Sample, 'at' | 'ms'>): void => {
    if (done) return;
    done = true;
    inFlight -= 1;
    samples.push({ at, ms: Math.round((performance.now() - started) * 100) / 100, ...outcome });
  };
  if (inFlight >= IN_FLIGHT_LIMIT) {
    samples.push({ at, ms: 0, failure: `not sent: ${IN_FLIGHT_LIMIT} requests are waiting for their answers` });
    return;
  }
  inFlight += 1;
  const call = request(url, { agent: connections, timeout: TIMEOUT_MS }, (response) => {
    json(response).then(
      (body) => finish(read(response.statusCode ?? 0, body)),
      (error: unknown) => finish({ failure: `broken answer: ${String(error)}` }),
    );
  });
  call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
  call.on('error', (error) => finish({ failure: error.message }));
  call.end();
}

interface Part {
  readonly instance?: string;
  readonly version?: string;
  readonly ratings?: Part;
}

function read(status: number, body: unknown): Omit<Sample, 'at' | 'ms'> {
  const { error, details, reviews } = body as { error?: string; details?: Part; reviews?: Part };
  if (status !== 200) return { failure: `${status}: ${error ?? 'no reason given'}` };
  const instances: Record<string, string> = {};
  for (const [service, part] of Object.entries({ details, reviews, ratings: reviews?.ratings }))
    if (part?.instance !== undefined) instances[service] = part.instance;
  return { ...(reviews?.version === undefined ? {} : { reviews: reviews.version }), instances };
}

/** Sends what is due; a late timer makes up for the time lost, so that the rate holds. */
function tick(): void {
  if (stopped) return;
  for (const now = performance.now(); due <= now; due += intervalMs) send();
  setTimeout(tick, Math.max(1, due - performance.now()));
}

function stop(): void {
  if (stopped) return;
  stopped = true;
  const end = Date.now() + TIMEOUT_MS;
  const wait = (): void => {
    report();
    if (inFlight > 0 && Date.now() < end) setTimeout(wait, 10);
    else process.stdout.write('', () => process.exit(0));
  };
  wait();
}

setInterval(report, REPORT_EVERY_MS);
process.on('SIGTERM', stop);
process.stdin.on('end', stop).resume();
tick();
