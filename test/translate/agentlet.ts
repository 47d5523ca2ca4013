/** What an agent does with Envoy, and no more: translates, and serves it over xDS. */
import { writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { buildBootstrap } from '../../src/envoy/bootstrap.ts';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { Translator } from '../../src/translate/translator.ts';
import { type Resource, type Resources, TYPE_URL } from '../../src/xds/resource.ts';
import { XdsServer } from '../../src/xds/server.ts';
import type { Namespace } from '../capture/netns.ts';
import { startChild } from '../support/child.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';

export interface Agentlet {
  readonly translator: Translator;
  /**
   * Serves what becomes of the mesh with these secrets, for the host that it began with or for what became of it.
   * `ownFiles: false`: of secrets that are files those alone that are among `secrets`, as an agent does that reads them.
   */
  serve(next: Mesh, secrets: readonly Resource[], now?: Host, options?: { readonly ownFiles?: boolean }): void;
  readonly rejected: readonly string[];
  /** What Envoy printed. */
  output(): string;
  /** Envoy's statistics whose names contain `filter`. */
  stats(filter: string): Promise<string>;
}

/** Starts Envoy, in a network namespace if one is given; `t` stops both. */
export async function startAgentlet(t: TestContext, self: Host, where?: Pick<Namespace, 'start'>): Promise<Agentlet> {
  const dir = await tempDir(t);
  const rejected: string[] = [];
  const xds = new XdsServer({ onReject: ({ message }) => rejected.push(message) });
  const xdsSocket = join(dir, 'xds.sock');
  const adminSocket = join(dir, 'admin.sock');
  await xds.listen(`unix:${xdsSocket}`);
  t.after(() => xds.close(100));
  const { nodeId, nodeCluster, locality } = self;
  const path = join(dir, 'bootstrap.json');
  await writeFile(path, JSON.stringify(buildBootstrap({ nodeId, nodeCluster, locality, xdsSocket, adminSocket })));
  const translator = new Translator();
  const args = ['-c', path, '--disable-hot-restart', '--concurrency', '1', '-l', 'warning'];
  const child = where === undefined ? startChild(t, envoyBinary(), args) : where.start(envoyBinary(), ...args);
  const stats = (filter: string): Promise<string> =>
    new Promise((resolve, reject) => {
      get({ socketPath: adminSocket, path: `/stats?filter=${filter}`, agent: false }, (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        incoming.once('end', () => resolve(text));
      }).once('error', reject);
    });
  return {
    translator,
    rejected,
    output: () => child.output(),
    stats,
    serve: (next, secrets, now = self, { ownFiles = true } = {}) => {
      const byName = new Map(secrets.map((secret) => [secret.name, secret]));
      const translated = translator.translate(next, now);
      const all = new Map([...(ownFiles ? (translated.get(TYPE_URL.secret) ?? []) : []), ...byName]);
      const resources: Resources = new Map([...translated, [TYPE_URL.secret, all]]);
      xds.setResources(resources);
    },
  };
}
