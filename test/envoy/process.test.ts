/** The life of a real Envoy under a supervisor that may die. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { buildBootstrap } from '../../src/envoy/bootstrap.ts';
import { envoyFiles } from '../../src/envoy/files.ts';
import { EnvoyProcess } from '../../src/envoy/process.ts';
import { identify, isRunning } from '../../src/envoy/process-identity.ts';
import { readRecord, writeRecord } from '../../src/envoy/state-file.ts';
import { createLog } from '../../src/lib/log.ts';
import { type Child, startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { ROOT } from '../support/tools.ts';
import { envoysOf, pidOf, soon, startServer, supervisor, type TestEnvoy, testEnvoy } from './support.ts';

function startAgent(t: TestContext, envoy: TestEnvoy): Child {
  return startChild(t, process.execPath, [join(ROOT, 'test/envoy/fixtures/agent.ts'), JSON.stringify(envoy.options)]);
}

async function untilAgentReady(agent: Child): Promise<{ readonly adopted: boolean; readonly pid: number }> {
  await eventually('the agent is ready', () => {
    if (agent.process.exitCode !== null) throw new Error(agent.output());
    return agent.output().includes('ready {');
  });
  const status = JSON.parse(agent.output().split('ready ')[1] ?? '') as {
    adopted: boolean;
    state: { pid: number };
  };
  return { adopted: status.adopted, pid: status.state.pid };
}

test('starts, becomes ready, serves, stops and leaves no process and no record', async (t) => {
  const { server } = await startServer(t);
  const envoy = await testEnvoy(t, { server });
  const supervised = supervisor(t, envoy);
  await supervised.start();
  assert.equal(supervised.status.state.kind, 'starting');
  await supervised.ready(soon());
  const { status } = supervised;
  assert.equal(status.version, '1.40.0');
  assert.equal(status.adopted, false);
  assert.ok((status.readyAfterMs ?? Number.NaN) > 0);
  assert.equal(await (await fetch(`http://127.0.0.1:${envoy.port}/`)).text(), 'ok');
  const stopped = await supervised.stop({ minimumDrainMs: 0 });
  assert.deepEqual(stopped, { drained: { kind: 'idle' }, ended: 'terminated' });
  assert.equal(supervised.status.state.kind, 'stopped');
  assert.deepEqual(envoysOf(envoy.runDir), []);
  assert.equal(await readRecord(envoyFiles(envoy.runDir).record), undefined);
});

test('an agent that is killed leaves Envoy serving, and the next agent adopts it', async (t) => {
  const { server } = await startServer(t);
  const envoy = await testEnvoy(t, { server });
  const first = startAgent(t, envoy);
  const { pid, adopted } = await untilAgentReady(first);
  assert.equal(adopted, false);
  // Also a signal to the agent's whole process group, as a terminal's Ctrl-C is, must not reach Envoy.
  await first.stop('SIGKILL');
  assert.equal(await (await fetch(`http://127.0.0.1:${envoy.port}/`)).text(), 'ok');

  const second = startAgent(t, envoy);
  const taken = await untilAgentReady(second);
  assert.deepEqual(taken, { adopted: true, pid });
  assert.equal(envoysOf(envoy.runDir).length, 1);

  // An adopted Envoy that dies is started again, although it was never a child of this agent.
  await second.stop('SIGKILL');
  const third = supervisor(t, envoy);
  await third.start();
  await third.ready(soon());
  process.kill(pid, 'SIGKILL');
  await eventually('another Envoy is ready', () => third.status.state.kind === 'ready' && pidOf(third) !== pid);
  assert.equal(third.status.restarts, 1);
});

test('is in another session than the agent', async (t) => {
  const envoy = await testEnvoy(t);
  const supervised = supervisor(t, envoy);
  await supervised.start();
  const pid = pidOf(supervised);
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const [, , group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [ours] = (await readFile('/proc/self/stat', 'utf8')).split(') ')[1]?.split(' ').slice(2) ?? [];
  // The launcher's: it leads both.
  const launcher = Number(await readFile(join(envoy.runDir, 'launcher.pid'), 'utf8'));
  assert.deepEqual([Number(group), Number(session)], [launcher, launcher]);
  assert.notEqual(session, ours);
});

test('leave() lets it run', async (t) => {
  const envoy = await testEnvoy(t);
  const supervised = supervisor(t, envoy);
  await supervised.start();
  await supervised.ready(soon());
  const pid = pidOf(supervised);
  await supervised.leave();
  assert.deepEqual(supervised.status.state, { kind: 'left', pid });
  assert.equal(identify(pid)?.pid, pid);
});

test('a record whose start time is another process’s is not believed', async (t) => {
  const envoy = await testEnvoy(t);
  const bystander = startChild(t, 'sleep', ['1000']);
  const pid = bystander.process.pid ?? 0;
  await mkdir(envoy.runDir, { recursive: true });
  await writeRecord(envoyFiles(envoy.runDir).record, {
    pid,
    startTime: '1',
    bootId: identify(pid)?.bootId ?? '',
    epoch: 0,
    startedAtMs: Date.now(),
    bootstrapHash: '',
    argumentsHash: '',
    binary: '',
    adminSocket: envoy.options.adminSocket,
  });
  const supervised = supervisor(t, envoy);
  await supervised.start();
  assert.notEqual(pidOf(supervised), pid);
  assert.equal(supervised.status.adopted, false);
  await supervised.ready(soon());
  assert.equal(bystander.process.exitCode, null);
  assert.equal(bystander.process.signalCode, null);
});

test('an Envoy whose record is lost is found by its arguments and adopted', async (t) => {
  const envoy = await testEnvoy(t);
  const first = supervisor(t, envoy);
  await first.start();
  await first.ready(soon());
  const pid = pidOf(first);
  await first.leave();
  await writeFile(envoyFiles(envoy.runDir).record, '{"half');
  const second = supervisor(t, envoy);
  await second.start();
  assert.equal(pidOf(second), pid);
  assert.equal(second.status.adopted, true);
  assert.equal((await readRecord(envoyFiles(envoy.runDir).record))?.pid, pid);
});

test('an Envoy with another bootstrap is replaced, one that drains is not adopted', async (t) => {
  const envoy = await testEnvoy(t);
  const first = supervisor(t, envoy);
  await first.start();
  await first.ready(soon());
  const pid = pidOf(first);
  await first.leave();

  const changed = {
    ...envoy,
    options: { ...envoy.options, bootstrap: { ...envoy.options.bootstrap, node: { id: 'b', cluster: 'b' } } },
  };
  const second = supervisor(t, changed);
  await second.start();
  await second.ready(soon());
  assert.notEqual(pidOf(second), pid);
  assert.equal(second.status.hotRestart?.reason, 'another bootstrap');
  await eventually('the old one is gone', () => envoysOf(envoy.runDir).length === 1);
  assert.equal(envoysOf(envoy.runDir)[0]?.pid, pidOf(second));
  const draining = pidOf(second);
  await second.admin.failHealthCheck();
  await second.leave();

  const third = supervisor(t, changed);
  await third.start();
  await third.ready(soon());
  assert.notEqual(pidOf(third), draining);
});

test('an Envoy that ends by itself is started again, with the reason kept', async (t) => {
  const envoy = await testEnvoy(t);
  const supervised = supervisor(t, envoy);
  await supervised.start();
  await supervised.ready(soon());
  for (const [count, signal] of [
    [1, 'SIGKILL'],
    [2, 'SIGTERM'],
  ] as const) {
    const pid = pidOf(supervised);
    process.kill(pid, signal);
    await eventually(
      'another Envoy is ready',
      () => supervised.status.state.kind === 'ready' && pidOf(supervised) !== pid,
    );
    assert.equal(supervised.status.restarts, count);
    assert.equal(supervised.status.lastFailure?.code, 'ENVOY_EXITED');
  }
  assert.match(supervised.status.lastFailure?.lastLines.join('\n') ?? '', /ENVOY_SIGTERM/);
});

test('a missing program is named, and tried again until it is there', async (t) => {
  const envoy = await testEnvoy(t);
  const binary = join(envoy.runDir, 'envoy');
  const supervised = supervisor(t, { ...envoy, options: { ...envoy.options, binary } });
  await supervised.start();
  const { state } = supervised.status;
  assert.equal(state.kind, 'backoff');
  assert.deepEqual(
    [supervised.status.lastFailure?.code, supervised.status.lastFailure?.message],
    ['ENVOY_BINARY_MISSING', `there is no Envoy at ${binary}`],
  );
  await assert.rejects(supervised.ready(AbortSignal.timeout(50)), { code: 'ENVOY_BINARY_MISSING' });
  await writeFile(binary, `#!/bin/sh\nexec ${envoy.options.binary} "$@"\n`, { mode: 0o755 });
  await supervised.ready(soon());
});

test('a program that cannot be executed is named', async (t) => {
  const envoy = await testEnvoy(t);
  const binary = join(envoy.runDir, 'envoy');
  await writeFile(binary, 'text', { mode: 0o644 });
  const supervised = supervisor(t, { ...envoy, options: { ...envoy.options, binary } });
  await supervised.start();
  assert.equal(supervised.status.lastFailure?.code, 'ENVOY_BINARY_UNUSABLE');
});

test('an Envoy that refuses its bootstrap says why, and the waits grow', async (t) => {
  const envoy = await testEnvoy(t, { binary: join(ROOT, 'test/envoy/fixtures/fake-envoy') });
  const waits: number[] = [];
  const supervised = new EnvoyProcess({
    ...envoy.options,
    backoff: { baseMs: 20, maxMs: 400 },
    log: createLog('silent'),
    onChange: ({ state }) => {
      if (state.kind === 'backoff') waits.push(state.retryAtMs - Date.now());
    },
  });
  t.after(() => supervised.stop());
  await supervised.start();
  await eventually('five tries', () => waits.length >= 5);
  assert.equal(supervised.status.lastFailure?.code, 'ENVOY_BOOTSTRAP_REFUSED');
  assert.match(supervised.status.lastFailure?.message ?? '', /no such field: 'nonsense'/);
  assert.ok((waits[4] ?? 0) > (waits[0] ?? 0), waits.join(', '));
});

test('the real Envoy’s refusal of a bootstrap is understood too', async (t) => {
  const envoy = await testEnvoy(t);
  const bootstrap = { ...envoy.options.bootstrap, nonsense: true };
  const supervised = supervisor(t, { ...envoy, options: { ...envoy.options, bootstrap } });
  await supervised.start();
  await eventually('a failure', () => supervised.status.lastFailure !== undefined);
  assert.equal(supervised.status.lastFailure?.code, 'ENVOY_BOOTSTRAP_REFUSED');
  assert.match(supervised.status.lastFailure?.message ?? '', /nonsense/);
});

test('a port in use is named with the program that holds it, and taken once it is free', async (t) => {
  const healthPort = await freePort();
  const holder = createServer();
  await new Promise<void>((resolve) => {
    holder.listen(healthPort, '127.0.0.1', resolve);
  });
  t.after(() => holder.close());
  const envoy = await testEnvoy(t, { healthPort });
  const supervised = supervisor(t, envoy);
  await supervised.start();
  await eventually('a failure', () => supervised.status.lastFailure !== undefined);
  assert.equal(supervised.status.lastFailure?.code, 'ENVOY_PORT_IN_USE');
  assert.match(
    supervised.status.lastFailure?.message ?? '',
    new RegExp(`127\\.0\\.0\\.1:${healthPort}: .*node.*pid ${process.pid}`),
  );
  await new Promise((resolve) => {
    holder.close(resolve);
  });
  await supervised.ready(soon());
});

test('two at once do not disturb each other, and do not share a health port in silence', async (t) => {
  const first = await testEnvoy(t);
  const second = await testEnvoy(t);
  const third = await testEnvoy(t, { healthPort: first.healthPort });
  const running = [supervisor(t, first), supervisor(t, second)];
  await Promise.all(running.map(async (each) => each.start()));
  await Promise.all(running.map(async (each) => each.ready(soon())));
  assert.notEqual(pidOf(running[0]!), pidOf(running[1]!));
  const refused = supervisor(t, third);
  await refused.start();
  await eventually('a failure', () => refused.status.lastFailure !== undefined);
  assert.match(refused.status.lastFailure?.message ?? '', new RegExp(`envoy \\(pid ${pidOf(running[0]!)}\\)`));
});

test('its log lines appear in ours, also those from while nobody read', async (t) => {
  const envoy = await testEnvoy(t);
  const logFile = join(envoy.runDir, 'agent.log');
  const first = supervisor(t, envoy, createLog('info', logFile));
  await first.start();
  await first.ready(soon());
  const pid = pidOf(first);
  await first.leave();
  process.kill(pid, 'SIGTERM');
  await eventually('Envoy is gone', () => identify(pid) === undefined);
  const second = supervisor(t, envoy, createLog('info', logFile));
  await second.start();
  const lines = (await readFile(logFile, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const said = lines.filter((line) => line['msg'] === 'Envoy says');
  assert.deepEqual(
    said.map(({ level, component, line }) => ({ level, component, line })),
    [{ level: 'warn', component: 'main', line: 'caught ENVOY_SIGTERM' }],
  );
});

test('a drain lets a request end while new connections are refused', async (t) => {
  const held = await startServer(t);
  const envoy = await testEnvoy(t, { server: held.server });
  const supervised = supervisor(t, envoy);
  await supervised.start();
  await supervised.ready(soon());
  const url = `http://127.0.0.1:${envoy.port}`;
  const pending = fetch(`${url}/held`);
  await eventually('the request is with the application', () => held.held() === 1);
  const stopping = supervised.stop({ drainTimeMs: 60_000, minimumDrainMs: 100 });
  await eventually('new connections are refused', async () => {
    const socket = connect(envoy.port, '127.0.0.1');
    return new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(false));
      socket.once('error', () => resolve(true));
    }).finally(() => socket.destroy());
  });
  assert.equal(supervised.status.state.kind, 'draining');
  held.release();
  assert.equal(await (await pending).text(), 'late');
  assert.deepEqual(await stopping, { drained: { kind: 'idle' }, ended: 'terminated' });
});

test('a drain that takes too long is cut off, for HTTP and for TCP', async (t) => {
  const held = await startServer(t);
  const http = await testEnvoy(t, { server: held.server });
  const silent = createTcpServer((socket) => socket.on('error', () => undefined));
  await new Promise<void>((resolve) => {
    silent.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => silent.close());
  const tcp = await testEnvoy(t, { server: silent as never, tcp: true });
  const running = [supervisor(t, http), supervisor(t, tcp)];
  await Promise.all(running.map(async (each) => each.start()));
  await Promise.all(running.map(async (each) => each.ready(soon())));
  const pending = fetch(`http://127.0.0.1:${http.port}/held`).catch(() => 'cut off');
  await eventually('the request is with the application', () => held.held() === 1);
  const socket = connect(tcp.port, '127.0.0.1');
  socket.on('error', () => undefined);
  t.after(() => socket.destroy());
  await eventually(
    'the connection is with the application',
    async () =>
      (await new Promise<number>((resolve) => {
        silent.getConnections((_, count) => resolve(count));
      })) === 1,
  );
  for (const each of running)
    assert.deepEqual(await each.stop({ drainTimeMs: 400, minimumDrainMs: 0 }), {
      drained: { kind: 'timeout', active: 1 },
      ended: 'terminated',
    });
  assert.equal(await pending, 'cut off');
});

test('an Envoy without an agent to configure it says what it waits for, and stops without a drain', async (t) => {
  const envoy = await testEnvoy(t);
  const bootstrap = buildBootstrap({
    nodeId: 'test',
    nodeCluster: 'test',
    locality: { region: '', zone: '', subzone: '' },
    xdsSocket: join(envoy.runDir, 'xds.sock'),
    adminSocket: envoy.options.adminSocket,
    healthListener: { address: '127.0.0.1', port: envoy.healthPort },
  });
  const supervised = supervisor(t, { ...envoy, options: { ...envoy.options, bootstrap } });
  await supervised.start();
  await eventually('the admin interface answers', () => supervised.admin.serverInfo().then(() => true));
  await assert.rejects(supervised.ready(AbortSignal.timeout(50)), {
    code: 'ENVOY_NOT_READY',
    message: /INITIALIZING and waits for clusters and listeners from the agent/,
  });
  await assert.rejects(fetch(`http://127.0.0.1:${envoy.healthPort}/healthz/ready`));
  assert.deepEqual(await supervised.stop(), { drained: { kind: 'idle' }, ended: 'terminated' });
});

test('an Envoy that hangs is told from one that is ready, and is ready again when it goes on', async (t) => {
  const envoy = await testEnvoy(t);
  const supervised = supervisor(t, { ...envoy, options: { ...envoy.options, healthIntervalMs: 20 } });
  await supervised.start();
  await supervised.ready(soon());
  const pid = pidOf(supervised);
  process.kill(pid, 'SIGSTOP');
  await eventually('it is unresponsive', () => supervised.status.state.kind === 'unresponsive');
  process.kill(pid, 'SIGCONT');
  await supervised.ready(soon());
  assert.equal(pidOf(supervised), pid);
});

test('a run folder that cannot be used is an error; a record that cannot be written costs only a search', async (t) => {
  const envoy = await testEnvoy(t);
  const file = join(envoy.runDir, 'file');
  await writeFile(file, '');
  const impossible = supervisor(t, { ...envoy, options: { ...envoy.options, runDir: join(file, 'run') } });
  await assert.rejects(impossible.start(), { code: 'ENVOY_RUN_DIR', message: new RegExp(file) });

  await mkdir(envoyFiles(envoy.runDir).record);
  const first = supervisor(t, envoy);
  await first.start();
  await first.ready(soon());
  const pid = pidOf(first);
  await first.leave();
  const second = supervisor(t, envoy);
  await second.start();
  assert.deepEqual([pidOf(second), second.status.adopted], [pid, true]);
});

test('an Envoy that does not hear SIGTERM is killed', async (t) => {
  const envoy = await testEnvoy(t);
  const supervised = supervisor(t, envoy);
  await supervised.start();
  await supervised.ready(soon());
  const pid = pidOf(supervised);
  const identity = identify(pid);
  process.kill(pid, 'SIGSTOP');
  const stopped = await supervised.stop({ drainTimeMs: 100 });
  assert.equal(stopped?.ended, 'killed');
  assert.equal(stopped?.drained.kind, 'unreachable');
  assert.ok(identity !== undefined && !isRunning(identity));
});
