/** A real Envoy on translated resources, without a control plane. */
import { writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { Translator } from '../../src/translate/translator.ts';
import type { Resource, Resources } from '../../src/xds/resource.ts';
import { startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { staticBootstrap } from './static-bootstrap.ts';

export interface RunningEnvoy {
  /** An admin page. */
  admin(path: string): Promise<string>;
  /** The value of one statistic, 0 when it was never counted. */
  stat(name: string): Promise<number>;
  output(): string;
}

function fetchText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text));
    }).once('error', reject);
  });
}

/** Starts it and waits until it is live; `t` stops it. */
export function startEnvoy(
  t: TestContext,
  mesh: Mesh,
  host: Host,
  secrets: readonly Resource[],
): Promise<RunningEnvoy> {
  return startEnvoyOn(t, new Translator().translate(mesh, host), host.nodeId, secrets);
}

/** The same on resources that are there already. */
export async function startEnvoyOn(
  t: TestContext,
  resources: Resources,
  nodeId: string,
  secrets: readonly Resource[] = [],
): Promise<RunningEnvoy> {
  const [dir, adminPort] = await Promise.all([tempDir(t), freePort()]);
  const bootstrap = await staticBootstrap(resources, { nodeId, adminPort, secrets });
  const path = join(dir, 'bootstrap.json');
  await writeFile(path, JSON.stringify(bootstrap), { mode: 0o600 });
  const child = startChild(t, envoyBinary(), [
    '-c',
    path,
    '--disable-hot-restart',
    '--concurrency',
    '1',
    '--file-flush-interval-msec',
    '100',
    '-l',
    'warning',
  ]);
  const admin = (page: string): Promise<string> => fetchText(`http://127.0.0.1:${adminPort}${page}`);
  await eventually('Envoy is live', async () => {
    if (child.process.exitCode !== null) throw new Error(`Envoy ended: ${child.output()}`);
    return (await admin('/ready')).startsWith('LIVE');
  });
  return {
    admin,
    stat: async (name) => {
      const lines = (
        await admin(`/stats?filter=${encodeURIComponent(name.replaceAll(/[|.;]/g, (c) => `\\${c}`))}`)
      ).split('\n');
      const line = lines.find((candidate) => candidate.startsWith(`${name}: `));
      return line === undefined ? 0 : Number(line.slice(name.length + 2));
    },
    output: () => child.output(),
  };
}
