// Faults of one host, with no Consul at all: settings, ports, the program of Envoy, the disk, files half written.
import assert from 'node:assert/strict';
import { chmod, copyFile, mkdir, readFile, rename, rmdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { program, startHost } from '../support/local-mesh.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary, ROOT } from '../support/tools.ts';
import { diagnosed, get, statusOf, untilStatus } from './agent-state.ts';
import { loopbackNet, startApplication } from './two-hosts.ts';

const UNKNOWN_ENVOY = join(ROOT, 'test/envoy/fixtures/fake-envoy');

/** A ServiceEntry for `host` with one endpoint. */
function serviceEntry(name: string, port: number, address = '127.0.0.1'): object {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name },
    spec: {
      hosts: [`${name}.example`],
      ports: [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: port }],
      resolution: 'STATIC',
      endpoints: [{ address }],
    },
  };
}

async function emptyMesh(t: TestContext): Promise<{ readonly dir: string; readonly resources: string }> {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  return { dir, resources };
}

/** A server of the test that occupies a port until it is told to let go. */
async function occupy(t: TestContext, address: string, port: number): Promise<() => Promise<void>> {
  const server = createServer((_request, response) => response.end('the occupant'));
  await new Promise<void>((resolve) => {
    server.listen(port, address, resolve);
  });
  const free = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  };
  t.after(free);
  return free;
}

test('wrong settings: the agent does not start, and says each with its line', async (t) => {
  const file = join(await tempDir(t), 'agent.yaml');
  await writeFile(
    file,
    `registry: files
consul: {adress: http://127.0.0.1:8500}
services:
  - {name: reviews, port: "ninety", protcol: HTTP}
envoy: {concurrency: many}
`,
  );
  const child = startChild(t, program(), ['agent', '--config', file]);
  assert.equal(await child.exited, 3);
  const output = child.output();
  assert.match(output, /agent\.yaml:2: error TRY0901 consul\.adress: .*address/);
  assert.match(output, /agent\.yaml:4: error TRY0901 services\[0\]\.protcol: .*protocol/);
  assert.match(output, /agent\.yaml:4: error TRY0901 services\[0\]\.port: "ninety"/);
  assert.match(output, /agent\.yaml:5: error TRY0901 envoy\.concurrency: "many"/);
});

test('services of two accounts and upstreams of nobody: refused, with what to write', async (t) => {
  const file = join(await tempDir(t), 'agent.yaml');
  await writeFile(
    file,
    `registry: files
host: {address: 127.0.0.1}
services:
  - {name: reviews, port: 9080, application: "127.0.0.1:9081"}
  - {name: audit, serviceAccount: auditor}
upstreams:
  - {service: ratings, listen: "127.0.0.1:9082"}
`,
  );
  const child = startChild(t, program(), ['agent', '--config', file]);
  assert.equal(await child.exited, 3);
  assert.match(child.output(), /agent\.yaml:\d+: error TRY0902 .*callAs/);
  assert.match(child.output(), /default\/reviews/);
  assert.match(child.output(), /default\/auditor/);
});

test('ports in use: named with the process, the others serve, and taken once free', async (t) => {
  const { dir, resources } = await emptyMesh(t);
  const address = `${loopbackNet()}.1`;
  const application = await startApplication(t);
  const [taken = 0, open = 0] = await freePorts(2, address);
  const [takenUpstream = 0, openUpstream = 0] = await freePorts(2);
  const freeInbound = await occupy(t, address, taken);
  // On all addresses, as programs do that were not told better.
  const freeUpstream = await occupy(t, '0.0.0.0', takenUpstream);
  await writeFile(join(resources, 'there.yaml'), JSON.stringify(serviceEntry('there', application.port)));
  const service = { protocol: 'HTTP', application: `127.0.0.1:${application.port}` };
  const host = await startHost(t, {
    dir,
    resources,
    name: 'ports',
    address,
    services: [
      { ...service, name: 'taken', port: taken },
      { ...service, name: 'open', port: open },
    ],
    upstreams: [
      { service: 'there.example', listen: `127.0.0.1:${takenUpstream}` },
      { service: 'there.example', listen: `127.0.0.1:${openUpstream}` },
    ],
  });
  const status = await untilStatus(host, 'both are named', (s) => diagnosed(s, 'TRY0103').split('\n').length === 2);
  const said = diagnosed(status, 'TRY0103');
  const who = `in use by ${process.execPath} \\(pid ${process.pid}\\)`;
  assert.match(said, new RegExp(`error TRY0103 service default/taken: ${address}:${taken} is ${who}.*Free the port`));
  assert.match(said, new RegExp(`upstream there\\.example: 127\\.0\\.0\\.1:${takenUpstream} is ${who}`));
  await eventually('the other service serves', async () => (await get(`http://${address}:${open}`)).code === 200);
  await eventually(
    'the other upstream serves',
    async () => (await get(`http://127.0.0.1:${openUpstream}`)).code === 200,
  );
  assert.equal((await get(`http://${address}:${taken}`)).body, 'the occupant');
  await Promise.all([freeInbound(), freeUpstream()]);
  for (const url of [`http://${address}:${taken}`, `http://127.0.0.1:${takenUpstream}`]) {
    await eventually(`${url} is served`, async () => (await get(url)).code === 200);
  }
  await untilStatus(host, 'nothing is in the way any more', (s) => diagnosed(s, 'TRY0103') === '');
});

test('no program of Envoy: the agent says where it looked', async (t) => {
  const { dir, resources } = await emptyMesh(t);
  const host = await startHost(t, {
    dir,
    resources,
    name: 'no-envoy',
    address: '127.0.0.1',
    overrides: { envoy: { binary: join(dir, 'nowhere/envoy') } },
  });
  assert.equal(await host.child.exited, 3);
  assert.match(
    host.child.output(),
    /agent\.yaml:1: error TRY0903 envoy\.binary: \S+nowhere\/envoy does not exist\. \S.*/,
  );
});

test('an Envoy that ends at once: its words are in the status, and one that works is taken up', async (t) => {
  const { dir, resources } = await emptyMesh(t);
  const application = await startApplication(t);
  const [listen = 0] = await freePorts(1);
  const [health = 0] = await freePorts(1);
  const binary = join(dir, 'envoy');
  await copyFile(UNKNOWN_ENVOY, binary);
  await chmod(binary, 0o755);
  await writeFile(join(resources, 'there.yaml'), JSON.stringify(serviceEntry('there', application.port)));
  // A folder where a file has to go: that stops root as well.
  const unwritable = join(dir, 'envoy-ends/state/resources.json');
  await mkdir(unwritable, { recursive: true });
  const host = await startHost(t, {
    dir,
    resources,
    name: 'envoy-ends',
    address: '127.0.0.1',
    upstreams: [{ service: 'there.example', listen: `127.0.0.1:${listen}` }],
    overrides: { envoy: { binary, concurrency: 1, healthListener: `127.0.0.1:${health}`, drainTime: '1s' } },
  });
  const status = await untilStatus(host, 'it tells', (s) => s.envoy.state === 'crashed' && s.envoy.restarts >= 2);
  assert.match(diagnosed(status, 'TRY0104'), /error TRY0104 Envoy: .*no such field: 'nonsense'.* \S+/);
  assert.equal(status.envoy.ready, false);
  assert.equal(status.agent.state, 'starting');
  await symlink(envoyBinary(), `${binary}.new`);
  await rename(`${binary}.new`, binary);
  await eventually('it serves', async () => (await get(`http://127.0.0.1:${listen}`)).code === 200);
  const mended = await untilStatus(host, 'it is ready', (s) => s.envoy.ready && s.agent.state === 'running');
  assert.equal(diagnosed(mended, 'TRY0104'), '');

  await t.test('killed again and again, it comes back each time', async () => {
    for (let i = 0; i < 3; i += 1) {
      const before = (await statusOf(host)).envoy;
      process.kill(before.pid ?? 0, 'SIGKILL');
      const after = await untilStatus(host, 'another is ready', (s) => s.envoy.ready && s.envoy.pid !== before.pid);
      assert.equal(after.envoy.restarts, before.restarts + 1);
      assert.equal((await get(`http://127.0.0.1:${listen}`)).code, 200);
    }
    // Who ended it is known where its launcher is heard in time.
    assert.match(host.child.output(), /SIGKILL|last words: Killed/);
  });

  await t.test('a second agent in the same run folder is refused, and the first goes on', async () => {
    const second = startChild(t, program(), ['agent', '--config', host.configFile]);
    assert.equal(await second.exited, 1);
    assert.match(second.output(), /another agent serves \S+run\/api\.sock\.\n {2}Stop it first, .*paths\.run/);
    assert.equal((await get(`http://127.0.0.1:${listen}`)).code, 200);
    assert.equal((await statusOf(host)).envoy.ready, true);
  });

  await t.test('a file half written keeps what held, until it is whole', async () => {
    const moved = await startApplication(t);
    const text = JSON.stringify(serviceEntry('there', moved.port), undefined, 1);
    const file = join(resources, 'there.yaml');
    await writeFile(file, text.slice(0, text.indexOf('"resolution"')));
    const half = await untilStatus(host, 'it is reported', (s) => diagnosed(s, 'TRY0001') !== '');
    assert.match(diagnosed(half, 'TRY0001'), /there\.yaml:\d+: error TRY0001/);
    assert.equal((await get(`http://127.0.0.1:${listen}`)).code, 200);
    assert.equal(moved.requests.length, 0);
    await writeFile(file, text);
    await eventually('the new one is asked', async () => {
      await get(`http://127.0.0.1:${listen}`);
      return moved.requests.length > 0;
    });
    await untilStatus(host, 'nothing is wrong any more', (s) => diagnosed(s, 'TRY0001') === '');
  });

  await t.test('SIGHUP reads the resources again', async () => {
    // Behind a link, so that the watch of the folder does not see the edit.
    const [first, second] = [await startApplication(t), await startApplication(t)];
    const elsewhere = join(dir, 'there.yaml');
    const file = join(resources, 'there.yaml');
    await writeFile(elsewhere, JSON.stringify(serviceEntry('there', first.port)));
    await unlink(file);
    await symlink(elsewhere, file);
    await eventually('the linked file is read', async () => {
      await get(`http://127.0.0.1:${listen}`);
      return first.requests.length > 0;
    });
    await writeFile(elsewhere, JSON.stringify(serviceEntry('there', second.port)));
    host.child.process.kill('SIGHUP');
    await eventually('the log tells', () => host.child.output().includes('resources are read again'));
    await eventually('the new one is asked', async () => {
      await get(`http://127.0.0.1:${listen}`);
      return second.requests.length > 0;
    });
    assert.equal(host.child.process.exitCode, null);
  });

  await t.test('a state folder that cannot be written is said, and no more once it can', async () => {
    const said = diagnosed(await statusOf(host), 'TRY0102');
    assert.match(
      said,
      new RegExp(`TRY0102 ${unwritable}: .*EISDIR.*Free space in the state folder, or make it writable`),
    );
    assert.match(host.child.output(), /last good resources not saved/);
    await rmdir(unwritable);
    host.child.process.kill('SIGHUP');
    await untilStatus(host, 'it is saved', (s) => diagnosed(s, 'TRY0102') === '');
    assert.match(await readFile(unwritable, 'utf8'), /ServiceEntry/);
  });
});
