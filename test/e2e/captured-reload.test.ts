// Callers come under capture and leave it by a reload, and none of their calls fails.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { cannotCapture, twoNamespaces } from '../capture/netns.ts';
import { calls, serve } from '../capture/traffic.ts';
import { eventually } from '../support/eventually.ts';
import { program, trysail } from '../support/local-mesh.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';

async function ask(socket: string, action: string): Promise<{ readonly code: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: socket, path: '/v1/capture', method: 'POST' }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.once('end', () => resolve({ code: response.statusCode ?? 0, text }));
    });
    call.once('error', reject);
    call.end(JSON.stringify({ action, ...(action === 'apply' ? { confirmed: true } : {}) }));
  });
}

test('callers come under capture and leave it with no failed call', { skip: cannotCapture() }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  await serve(other, 'direct', '0.0.0.0|81');
  const config = join(dir, 'agent.yaml');
  const both = [
    { name: 'a', user: '1001' },
    { name: 'b', user: '1002' },
  ];
  const settings = {
    host: { name: 'vm-1', address: '10.9.0.1' },
    registry: 'files',
    identity: { provider: 'none' },
    mesh: { resources },
    services: both,
    capture: { outbound: 'listed' },
    envoy: { binary: envoyBinary(), concurrency: 1, drainTime: '1s', lingerTime: '1s' },
    paths: { state: join(dir, 'state'), run: join(dir, 'run') },
  };
  await writeFile(config, JSON.stringify(settings));
  const socket = join(dir, 'run/api.sock');
  const agent = host.start(program(), 'agent', '--config', config);
  await eventually('the rules are applied', async () => {
    if (agent.process.exitCode !== null) throw new Error(agent.output());
    const { code, text } = await ask(socket, 'apply');
    assert.equal(code, 200, text);
    return true;
  });
  const rules = async (): Promise<string> => host.run('nft', 'list', 'ruleset');
  assert.match(await rules(), /skuid 1002/);

  /** Calls of both users while `work` goes on. */
  const during = async (work: () => Promise<void>): Promise<readonly string[]> => {
    const answers: string[] = [];
    const stop = new AbortController();
    const loads = [1001, 1002].map(async (uid) => {
      while (!stop.signal.aborted) answers.push(...(await calls(host, '10.9.0.2', 81, 50, { uid })));
    });
    await work();
    const then = answers.length;
    await eventually('calls go on', () => answers.length > then + 300);
    stop.abort();
    await Promise.all(loads);
    return answers.filter((answer) => !answer.startsWith('direct '));
  };
  const reload = async (services: readonly object[]): Promise<void> => {
    await writeFile(config, JSON.stringify({ ...JSON.parse(await readFile(config, 'utf8')), services }));
    assert.equal(await trysail('reload', '--socket', socket), '');
  };

  assert.deepEqual(
    await during(async () => {
      await reload(both.slice(0, 1));
      await eventually('the rules have followed', async () => !/skuid 1002/.test(await rules()));
    }),
    [],
  );
  assert.deepEqual(
    await during(async () => {
      await reload(both);
      await eventually('the rules have followed', async () => /skuid 1002/.test(await rules()));
    }),
    [],
  );
});
