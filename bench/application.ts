/** The application behind a sidecar in the benchmarks: an Envoy that answers 512 bytes by itself. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startChild } from '../test/support/child.ts';
import { envoyBinary } from '../test/support/tools.ts';
import { minimalApplication } from './minimal-envoy.ts';
import type { BenchOwner } from './owner.ts';

/** Starts an Envoy with a static configuration and one worker; returns its pid. */
export async function startEnvoy(owner: BenchOwner, dir: string, name: string, config: object): Promise<number> {
  const file = join(dir, `${name}.json`);
  await writeFile(file, JSON.stringify(config));
  const args = ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  return startChild(owner, envoyBinary(), args).process.pid ?? 0;
}

/** Starts the application on a port of 127.0.0.1. */
export async function startApplication(owner: BenchOwner, dir: string, port: number): Promise<void> {
  await startEnvoy(owner, dir, 'application', minimalApplication(port));
}
