/** One Envoy after another without a gap: each way to a hot restart, under load of four kinds, and each way in which one fails. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { argumentOf } from '../../src/envoy/arguments.ts';
import { EnvoyProcess } from '../../src/envoy/process.ts';
import { commandLine, isRunning } from '../../src/envoy/process-identity.ts';
import type { EnvoyProcessOptions } from '../../src/envoy/process-options.ts';
import { createLog } from '../../src/lib/log.ts';
import { startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type Load, type Ports, startApplication, startLoad } from './load.ts';
import { envoysOf, fourKinds, LAUNCHER, pidOf, soon, supervisor, type TestEnvoy, testEnvoy } from './support.ts';

interface Served {
  readonly envoy: TestEnvoy;
  readonly ports: Ports;
  /** The same Envoy with something changed. */
  with(change: Partial<EnvoyProcessOptions>): TestEnvoy;
  /** With another bootstrap. */
  other(id: string, more?: Readonly<Record<string, unknown>>): TestEnvoy;
}

/** An Envoy in front of an application of four kinds, not started yet. */
async function served(t: TestContext, drainTimeMs = 10_000): Promise<Served> {
  const applications = await startApplication(t);
  const [http = 0, http2 = 0, grpc = 0, tcp = 0] = await freePorts(4);
  const ports = { http, http2, grpc, tcp };
  const plain = await testEnvoy(t, { resources: fourKinds(ports, applications) });
  const hotRestartBackoff = { baseMs: 100, maxMs: 300 };
  const envoy = { ...plain, options: { ...plain.options, drainTimeMs, hotRestartBackoff } };
  const change = (changed: Partial<EnvoyProcessOptions>): TestEnvoy => ({
    ...envoy,
    options: { ...envoy.options, ...changed },
  });
  return {
    envoy,
    ports,
    with: change,
    other: (id, more = {}) => change({ bootstrap: { ...envoy.options.bootstrap, node: { id, cluster: id }, ...more } }),
  };
}

async function running(t: TestContext, envoy: TestEnvoy): Promise<EnvoyProcess> {
  const supervised = supervisor(t, envoy);
  await supervised.start();
  await supervised.ready(soon());
  return supervised;
}

/** Hands over from one supervisor to the next, and waits for the end of the old Envoy. */
async function handOver(t: TestContext, from: EnvoyProcess, to: TestEnvoy, load: Load): Promise<EnvoyProcess> {
  const pid = pidOf(from);
  await load.more(5);
  await from.leave();
  const next = await running(t, to);
  await eventually('the old one is gone', () => next.status.hotRestart?.phase === 'done');
  assert.notEqual(pidOf(next), pid);
  assert.deepEqual(
    envoysOf(to.runDir).map((found) => found.pid),
    [pidOf(next)],
  );
  await load.more(20);
  assert.deepEqual([...load.failures], [], `to epoch ${next.status.epoch}`);
  return next;
}

/** A program that is Envoy, but for its name. */
async function anotherProgram(t: TestContext, real: string, more = ''): Promise<string> {
  const path = join(await tempDir(t), 'envoy');
  await writeFile(path, `#!/bin/sh\n${more}\nexec ${real} "$@"\n`, { mode: 0o755 });
  return path;
}

test('another bootstrap, other arguments, another program: no request fails', async (t) => {
  const at = await served(t);
  const first = await running(t, at.envoy);
  assert.equal(first.status.epoch, 0);
  const load = startLoad(t, at.ports);

  const second = await handOver(t, first, at.other('b'), load);
  assert.deepEqual(
    [second.status.epoch, second.status.hotRestart?.reason, second.status.version, second.status.outdated],
    [1, 'another bootstrap', '1.40.0', undefined],
  );
  const more = at.other('b').options;
  const third = await handOver(t, second, at.with({ ...more, concurrency: 2 }), load);
  assert.deepEqual([third.status.epoch, third.status.hotRestart?.reason], [2, 'other arguments']);
  // Fewer workers would lose what is queued for those that go: they come with the next start.
  const thirdPid = pidOf(third);
  await third.leave();
  const fewer = await running(t, at.with({ ...more, concurrency: 1 }));
  assert.deepEqual([pidOf(fewer), fewer.status.adopted], [thirdPid, true]);
  const upgraded = at.with({ ...more, concurrency: 1, binary: await anotherProgram(t, more.binary) });
  const last = await handOver(t, fewer, upgraded, load);
  assert.deepEqual([last.status.epoch, last.status.hotRestart?.reason], [3, 'another binary']);
  // And a crash after all that is an ordinary one.
  const pid = pidOf(last);
  await load.stop();
  process.kill(pid, 'SIGKILL');
  await eventually('another one is ready', () => last.status.state.kind === 'ready' && pidOf(last) !== pid);
  assert.equal(last.status.epoch, 0);
  assert.equal(argumentOf(commandLine(pidOf(last)), '--concurrency'), '1');
});

test('a connection that outlives the drain is closed at its bound, and that is said', async (t) => {
  const at = await served(t, 20_000);
  const first = await running(t, at.envoy);
  const socket = connect(at.ports.tcp, '127.0.0.1');
  let closed = false;
  socket.on('close', () => {
    closed = true;
  });
  socket.on('error', () => undefined);
  t.after(() => socket.destroy());
  await new Promise((resolve) => {
    socket.once('data', resolve);
    socket.write('x');
  });
  await first.leave();
  const logFile = join(at.envoy.runDir, 'agent.log');
  const second = supervisor(t, at.other('b'), createLog('info', logFile));
  await second.start();
  await second.ready(soon());
  assert.equal(second.status.hotRestart?.phase, 'draining');
  assert.equal(closed, false);
  // It is served to the end.
  await new Promise((resolve) => {
    socket.once('data', resolve);
    socket.write('y');
  });
  await eventually('the old one has ended', () => second.status.hotRestart?.phase === 'done');
  assert.equal(second.status.hotRestart?.connections, 1);
  await eventually('it is closed', () => closed);
  assert.match(await readFile(logFile, 'utf8'), /"connections":1,.*connections that outlived its drain were closed/);
});

test('a new one that fails leaves the old one serving, and is tried again', async (t) => {
  const at = await served(t);
  const first = await running(t, at.envoy);
  const pid = pidOf(first);
  const load = startLoad(t, at.ports);
  await load.more(5);
  await first.leave();

  await t.test('where its bootstrap is refused', async (t2) => {
    const refused = supervisor(t2, at.other('b', { nonsense: true }));
    await refused.start();
    await eventually('it has failed', () => refused.status.hotRestart?.phase === 'failed');
    assert.equal(refused.status.lastFailure?.code, 'ENVOY_BOOTSTRAP_REFUSED');
    // It has not come so far as to take the admin interface.
    await refused.ready(soon());
    assert.equal(pidOf(refused), pid);
    assert.match(refused.status.outdated ?? '', /^another bootstrap; the hot restart failed: .*nonsense/s);
    await refused.leave();
  });

  await t.test('where a port is taken', async (t2) => {
    const [port = 0] = await freePorts(1);
    const holder = createServer().listen(port, '127.0.0.1');
    t2.after(() => holder.close());
    const { static_resources: fixed } = at.envoy.options.bootstrap as {
      static_resources: { clusters: unknown[]; listeners: { name: string; address: unknown }[] };
    };
    const extra = {
      ...fixed.listeners.find(({ name }) => name === 'http'),
      name: 'extra',
      address: { socket_address: { address: '127.0.0.1', port_value: port } },
      enable_reuse_port: false,
    };
    const static_resources = { ...fixed, listeners: [...fixed.listeners, extra] };
    const next = supervisor(t2, at.other('b', { static_resources }));
    await next.start();
    await eventually('it has failed', () => next.status.hotRestart?.phase === 'failed');
    assert.equal(next.status.lastFailure?.code, 'ENVOY_PORT_IN_USE');
    assert.equal(pidOf(next), pid);
    await load.more(20);
    await new Promise((resolve) => {
      holder.close(resolve);
    });
    await eventually('it has been tried again', () => next.status.hotRestart?.phase === 'done');
    await next.ready(soon());
    assert.notEqual(pidOf(next), pid);
    await load.more(20);
    assert.deepEqual(load.failures, []);
    await load.stop();
  });
});

test('an agent that is gone in the middle of a hot restart: the next one goes on, and a third waits for its end', async (t) => {
  const at = await served(t, 15_000);
  const first = await running(t, at.envoy);
  const load = startLoad(t, at.ports);
  await load.more(5);
  await first.leave();
  const second = await running(t, at.other('b'));
  assert.equal(second.status.hotRestart?.phase, 'draining');
  const [oldest] = second.pids;
  await second.leave();

  const third = await running(t, at.other('c'));
  assert.deepEqual([third.status.adopted, third.status.epoch, third.status.outdated], [true, 1, 'another bootstrap']);
  assert.equal(third.pids[0], oldest);
  await eventually(
    'it is replaced in its turn',
    () => third.status.epoch === 2 && third.status.hotRestart?.phase === 'done',
  );
  await load.more(20);
  assert.deepEqual(load.failures, []);
});

test('the launcher killed: Envoy serves on, and another launcher starts its successor', async (t) => {
  const at = await served(t);
  const first = await running(t, at.envoy);
  const load = startLoad(t, at.ports);
  const launcher = Number(await readFile(join(at.envoy.runDir, 'launcher.pid'), 'utf8'));
  process.kill(launcher, 'SIGKILL');
  await load.more(50);
  assert.equal(first.status.state.kind, 'ready');
  const second = await handOver(t, first, at.other('b'), load);
  assert.equal(second.status.epoch, 1);
  await load.stop();
  const pid = pidOf(second);
  process.kill(pid, 'SIGKILL');
  await eventually('another one is ready', () => second.status.state.kind === 'ready' && pidOf(second) !== pid);
});

test('where the two cannot share, the old one is drained and replaced, and that is said', async (t) => {
  for (const [name, prepare] of [
    [
      'versions of hot restart differ \\(11.104, 11.99\\)',
      async (at: Served) => {
        await (await running(t, at.envoy)).leave();
        const binary = await anotherProgram(
          t,
          at.envoy.options.binary,
          '[ "$1" != --hot-restart-version ] || exec echo 11.99',
        );
        return at.with({ binary });
      },
    ],
    [
      'without hot restart',
      async (at: Served) => {
        // As an agent of an earlier version left it.
        const path = join(at.envoy.runDir, 'envoy-bootstrap.json');
        await writeFile(path, JSON.stringify(at.envoy.options.bootstrap));
        startChild(t, at.envoy.options.binary, ['--config-path', path, '--disable-hot-restart', '-l', 'off']);
        await eventually('it serves', async () => fetch(`http://127.0.0.1:${at.ports.http}/`).then(({ ok }) => ok));
        return at.envoy;
      },
    ],
  ] as const) {
    const at = await served(t);
    const to = await prepare(at);
    const [old] = envoysOf(at.envoy.runDir);
    assert.ok(old !== undefined);
    const logFile = join(at.envoy.runDir, 'agent.log');
    const next = supervisor(t, to, createLog('info', logFile));
    await next.start();
    await next.ready(soon());
    assert.ok(!isRunning(old));
    assert.equal(next.status.epoch, 0);
    assert.match(await readFile(logFile, 'utf8'), new RegExp(`${name}.*no hot restart is possible`));
  }
});

test('one that hangs hands nothing over, and is ended', async (t) => {
  const at = await served(t);
  const first = await running(t, at.envoy);
  const pid = pidOf(first);
  await first.leave();
  process.kill(pid, 'SIGSTOP');
  const next = supervisor(t, at.envoy);
  await next.start();
  await next.ready(soon());
  assert.deepEqual(
    envoysOf(at.envoy.runDir).map((found) => found.pid),
    [pidOf(next)],
  );
});

test('a launcher of somebody else’s: asked for Envoys, which stay when the agent goes', async (t) => {
  const at = await served(t);
  const dir = join(await tempDir(t), 'envoy');
  const launcherOptions = { launcher: { kind: 'systemd', script: '', dir } } as const;
  const waiting = supervisor(t, at.with(launcherOptions));
  await waiting.start();
  assert.equal(waiting.status.lastFailure?.code, 'ENVOY_LAUNCHER_SILENT');
  await writeFile(join(at.envoy.runDir, 'mkdir'), '');
  const launcher = startChild(t, '/bin/sh', ['-c', 'mkdir -p "$1"; exec "$0" "$1"', LAUNCHER, dir]);
  await waiting.ready(soon());
  const load = startLoad(t, at.ports);
  const pid = pidOf(waiting);
  await load.more(5);
  assert.equal(await waiting.stop(), undefined);
  await load.more(5);

  const same = await running(t, at.with(launcherOptions));
  assert.deepEqual([pidOf(same), same.status.adopted], [pid, true]);
  const next = await handOver(t, same, at.with({ ...at.other('b').options, ...launcherOptions }), load);
  assert.equal(next.status.epoch, 1);
  await load.stop();

  // Not to be shared: drained by the admin interface, ended and replaced by the launcher, which stays.
  const binary = await anotherProgram(
    t,
    at.envoy.options.binary,
    '[ "$1" != --hot-restart-version ] || exec echo 11.99',
  );
  const before = pidOf(next);
  await next.leave();
  const replaced = await running(t, at.with({ ...at.other('c').options, ...launcherOptions, binary }));
  assert.notEqual(pidOf(replaced), before);
  assert.equal(replaced.status.epoch, 0);
  assert.equal(launcher.process.exitCode, null);
});
