// The check of this very machine, as the command runs it: what is on it is real, and found.
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { type TestContext, test } from 'node:test';
import { checkHost, checkNames, type HostReport } from '../../src/agent/check-host.ts';
import { allListeners } from '../../src/envoy/port-owner.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { loadSettings } from './settings.ts';

async function listen(t: TestContext, port: number, address: string): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, resolve);
  });
  t.after(() => server.close());
  return server;
}

const findingsOf = (report: HostReport, name: string): readonly string[] =>
  (report.checks.find((each) => each.name === name)?.findings ?? []).map(
    ({ code, object }) => `${code} ${object ?? ''}`,
  );

test('a port in use, an application that is away, one that is bypassable', async (t) => {
  const dir = await tempDir(t);
  const [taken, application, open] = [await freePort(), await freePort(), await freePort('0.0.0.0')];
  await listen(t, taken, '127.0.0.1');
  await listen(t, open, '0.0.0.0');
  const { file, loaded } = await loadSettings(dir, {
    registry: 'files',
    identity: { provider: 'none' },
    host: { name: 'vm-1', address: '127.0.0.1' },
    services: [
      { name: 'a', port: taken, application: `127.0.0.1:${application}` },
      { name: 'b', port: await freePort(), application: `127.0.0.1:${open}` },
    ],
    envoy: { binary: envoyBinary(), healthListener: `127.0.0.1:${await freePort()}` },
  });
  const report = await checkHost(file, loaded, { only: ['ports', 'applications'] });
  assert.deepEqual(
    report.checks.map(({ name }) => name),
    ['ports', 'applications'],
  );
  assert.ok(findingsOf(report, 'ports').includes('TRY0103 service default/a'));
  assert.deepEqual(findingsOf(report, 'applications'), ['TRY1105 service default/a', 'TRY1106 service default/b']);
  const owner = report.checks[0]?.findings.find(({ code }) => code === 'TRY0103');
  assert.match(owner?.message ?? '', new RegExp(`is in use by .*\\(pid ${process.pid}\\)$`));
  assert.equal(report.state, 'error');
});

test('all checks come to an end on any machine, in their order; every finding has a remedy', async (t) => {
  const { file, loaded } = await loadSettings(await tempDir(t), {
    registry: 'files',
    identity: { provider: 'none' },
    host: { address: '127.0.0.1' },
    envoy: { binary: envoyBinary(), healthListener: `127.0.0.1:${await freePort()}` },
  });
  const report = await checkHost(file, loaded);
  assert.deepEqual(
    report.checks.map(({ name }) => name),
    checkNames(),
  );
  const findings = report.checks.flatMap((each) => each.findings);
  assert.deepEqual(
    findings.filter(({ remedy }) => remedy === undefined || remedy === ''),
    [],
  );
  for (const { name, state, facts } of report.checks)
    if (state === 'ok' || state === 'skipped') assert.ok(facts.length > 0, `${name} says what it looked at`);
});

test('with errors in agent.yaml the host is checked all the same', async (t) => {
  const { file, loaded } = await loadSettings(await tempDir(t), { registry: 'none' });
  const report = await checkHost(file, loaded, { only: ['configuration', 'ports', 'kernel', 'consul'] });
  assert.deepEqual(
    report.checks.map(({ name, state }) => [
      name,
      state === 'skipped' || name === 'kernel' ? 'skipped or kernel' : state,
    ]),
    [
      ['configuration', 'error'],
      ['ports', 'skipped or kernel'],
      ['consul', 'skipped or kernel'],
      ['kernel', 'skipped or kernel'],
    ],
  );
});

test('a check that there is not is refused, with the nearest one', async (t) => {
  const { file, loaded } = await loadSettings(await tempDir(t), {});
  await assert.rejects(checkHost(file, loaded, { only: ['prots'] }), {
    code: 'CHECK_UNKNOWN',
    remedy: 'Did you mean ports?',
  });
});

test('listeners are those of the kernel, with their processes', async (t) => {
  const port = await freePort();
  await listen(t, port, '127.0.0.1');
  const mine = (await allListeners('tcp')).filter((each) => each.port === port);
  assert.deepEqual(
    mine.map(({ address, pid }) => [address, pid]),
    [['127.0.0.1', process.pid]],
  );
});
