// Benchmark (c): from the exec of the agent until Envoy is ready and until a first request has passed under mutual TLS,
// with a certificate on disk, without one, and after a kill -9; and the memory of an agent that has nothing to do.
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '../scripts/bundle.ts';
import type { LocalHost } from '../test/support/local-mesh.ts';
import { freePort } from '../test/support/ports.ts';
import type { Report } from './main.ts';
import { createOwner } from './owner.ts';
import { median } from './process-usage.ts';

const ROUNDS = 9;

interface Target {
  readonly socketPath?: string;
  readonly port?: number;
  readonly path: string;
}

/** Whether a GET answers 200. */
async function answers(target: Target): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', agent: false, timeout: 2000, ...target }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.once('error', () => resolve(false));
    call.once('timeout', () => call.destroy(new Error('timeout')));
    call.end();
  });
}

/** Milliseconds from `begin` until the target answers. */
async function until(begin: number, what: string, target: Target): Promise<number> {
  while (!(await answers(target))) {
    if (performance.now() > begin + 20_000) throw new Error(`bench: ${what} not within 20 s`);
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
  return performance.now() - begin;
}

interface Times {
  readonly readyMs: number[];
  readonly firstRequestMs: number[];
}

async function measureStart(host: LocalHost, port: number, times: Times): Promise<void> {
  const begin = performance.now();
  host.start();
  const [readyMs, firstRequestMs] = await Promise.all([
    until(begin, 'Envoy is ready', { socketPath: join(host.runDir, 'admin.sock'), path: '/ready' }),
    until(begin, 'a first request passes', { port, path: '/' }),
  ]);
  times.readyMs.push(readyMs);
  times.firstRequestMs.push(firstRequestMs);
}

export async function run(report: Report): Promise<void> {
  const owner = createOwner();
  const dir = await mkdtemp(join(tmpdir(), 'tsb-'));
  try {
    // As packaged: the bundle, with its compile cache warm.
    process.env['TRYSAIL_PROGRAM'] = await bundle(join(dir, 'program'));
    const { startPair } = await import('./pair.ts');
    const { startApplication } = await import('./application.ts');
    const appPort = await freePort();
    await startApplication(owner, dir, appPort);
    const { frontend, backend, url } = await startPair(owner, dir, appPort);
    const port = Number(new URL(url).port);
    await Promise.all([frontend.ready(), backend.ready()]);
    await until(performance.now(), 'a first request passes', { port, path: '/' });

    const warm: Times = { readyMs: [], firstRequestMs: [] };
    const cold: Times = { readyMs: [], firstRequestMs: [] };
    const killedMs: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await frontend.child.stop();
      await measureStart(frontend, port, warm);

      await frontend.child.stop();
      await rm(join(frontend.stateDir, 'identity/workloads'), { recursive: true, force: true });
      await measureStart(frontend, port, cold);

      await frontend.child.stop('SIGKILL');
      const begin = performance.now();
      frontend.start();
      killedMs.push(
        await until(begin, 'the agent is ready', { socketPath: join(frontend.runDir, 'api.sock'), path: '/v1/status' }),
      );
    }
    report('agent.readyMs', median(warm.readyMs), 'ms');
    report('agent.firstRequestMs', median(warm.firstRequestMs), 'ms');
    report('agent.readyMs.noCertificate', median(cold.readyMs), 'ms');
    report('agent.firstRequestMs.noCertificate', median(cold.firstRequestMs), 'ms');
    report('agent.readyMs.afterKill', median(killedMs), 'ms');
  } finally {
    delete process.env['TRYSAIL_PROGRAM'];
    await owner.end();
    await rm(dir, { recursive: true, force: true });
  }
}
