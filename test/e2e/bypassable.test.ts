// What status calls BYPASSABLE is what another machine reaches past the proxy, and nothing else is.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { Status } from '../../src/api/status.ts';
import { cannotCapture, twoNamespaces } from '../capture/netns.ts';
import { call, serve } from '../capture/traffic.ts';
import { eventually } from '../support/eventually.ts';
import { program, trysail } from '../support/local-mesh.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';

/** By service: where its application listens, its settings, and where another machine would look for it. */
const SERVICES = {
  loopback: {
    listens: '127.0.0.1|8081',
    written: { port: 9081, application: '127.0.0.1:8081' },
    from: ['10.9.0.1', 8081],
  },
  everywhere: {
    listens: '0.0.0.0|8082',
    written: { port: 9082, application: '127.0.0.1:8082' },
    from: ['10.9.0.1', 8082],
  },
  both: {
    listens: '::|8083',
    written: { port: 9083, application: '127.0.0.1:8083', mode: 'observe' },
    from: ['2001:db8:9::1', 8083],
  },
  address: {
    listens: '10.9.0.1|8084',
    written: { port: 9084, application: '10.9.0.1:8084', mode: 'observe' },
    from: ['10.9.0.1', 8084],
  },
  six: {
    listens: '2001:db8:9::1|8085',
    written: { port: 9085, application: '[2001:db8:9::1]:8085' },
    from: ['2001:db8:9::1', 8085],
  },
  same: { listens: '127.0.0.1|9086', written: { port: 9086, application: '127.0.0.1:9086' }, from: ['10.9.0.1', 9086] },
  captured: { listens: '0.0.0.0|9087', written: { port: 9087, capture: 'redirect' }, from: ['10.9.0.1', 9087] },
} as const;

test('BYPASSABLE is what can be reached past the proxy', { skip: cannotCapture() }, async (t) => {
  const { host, other } = await twoNamespaces(t);
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const config = join(dir, 'agent.yaml');
  await writeFile(
    config,
    JSON.stringify({
      host: { name: 'vm-1', address: '10.9.0.1' },
      registry: 'files',
      identity: { provider: 'none' },
      mesh: { resources },
      services: Object.entries(SERVICES).map(([name, { written }]) => ({ name, protocol: 'TCP', ...written })),
      envoy: { binary: envoyBinary(), concurrency: 1, drainTime: '1s' },
      paths: { state: join(dir, 'state'), run: join(dir, 'run') },
    }),
  );
  for (const [name, { listens }] of Object.entries(SERVICES)) await serve(host, name, listens);
  const socket = join(dir, 'run/api.sock');
  const agent = host.start(program(), 'agent', '--config', config);
  const status = async (): Promise<Status> => {
    const { stdout } = await promisify(execFile)(program(), ['status', '--socket', socket, '-o', 'json']).catch(
      (error: unknown) => error as { readonly stdout: string },
    );
    return JSON.parse(stdout) as Status;
  };
  await eventually('the agent runs', async () => {
    if (agent.process.exitCode !== null) throw new Error(agent.output());
    const { agent: own, envoy } = await status();
    return own.state === 'running' && envoy.ready;
  });

  /** Services whose application has seen the other machine itself. */
  const reached = async (): Promise<readonly string[]> => {
    const names: string[] = [];
    for (const [name, { from }] of Object.entries(SERVICES)) {
      const [address, port] = from;
      if (/ (10\.9\.0\.2|2001:db8:9::2) ->/.test(await call(other, address, port))) names.push(name);
    }
    return names.toSorted();
  };
  const called = async (): Promise<readonly string[]> =>
    (await status()).services.flatMap(({ name, bypassable = [] }) => (bypassable.length > 0 ? [name] : [])).toSorted();

  await t.test('without rules of the kernel', async () => {
    const expected = ['address', 'both', 'captured', 'everywhere', 'six'];
    assert.deepEqual(await reached(), expected);
    assert.deepEqual(await called(), expected);
    const text = await trysail('status', '--socket', socket).catch(
      (error: { readonly stdout: string }) => error.stdout,
    );
    assert.match(
      text,
      /^ *warning +BYPASSABLE: others reach the application of default\/everywhere past the proxy at 0\.0\.0\.0:8082/m,
    );
    assert.match(text, /^default\/loopback .* full +/m);
    assert.doesNotMatch(text, /loopback .*BYPASSABLE/);
  });

  await t.test('with its port captured, one less', async () => {
    await eventually('the rules are applied', async () => {
      const { request } = await import('node:http');
      return new Promise<boolean>((resolve, reject) => {
        const ask = request({ socketPath: socket, path: '/v1/capture', method: 'POST' }, (response) => {
          response.resume();
          response.once('end', () => resolve(response.statusCode === 200));
        });
        ask.once('error', reject);
        ask.end(JSON.stringify({ action: 'apply', confirmed: true }));
      });
    });
    const expected = ['address', 'both', 'everywhere', 'six'];
    assert.deepEqual(await reached(), expected);
    assert.deepEqual(await called(), expected);
  });
});
