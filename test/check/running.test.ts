// The check beside a running agent with its Envoy, CA and Consul: what is ours is no fault.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkHost, type HostReport } from '../../src/agent/check-host.ts';
import { loadAgentSettings } from '../../src/agent/settings-load.ts';
import { startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { startCa, startHost } from '../support/local-mesh.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';

test('a host that runs well has no finding, before and after its agent is gone', { timeout: 600_000 }, async (t) => {
  const dir = await tempDir(t);
  const [consul, ca] = [await startConsul(t), await startCa(t, dir)];
  const [port, application, upstream] = [await freePort(), await freePort(), await freePort()];
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(application, '127.0.0.1', resolve));
  t.after(() => server.close());
  await mkdir(join(dir, 'resources'));
  const host = await startHost(t, {
    name: 'vm-1',
    address: '127.0.0.1',
    dir,
    resources: join(dir, 'resources'),
    ca,
    consul: consul.address,
    services: [{ name: 'reviews', port, application: `127.0.0.1:${application}` }],
    upstreams: [{ service: 'ratings', listen: `127.0.0.1:${upstream}` }],
  });
  await host.ready();
  await eventually('certified', async () => {
    const { certificates } = await host.status();
    assert.equal(certificates.workloads.length, 1);
    assert.ok(certificates.workloads[0]?.notAfter !== undefined);
  });
  const machine = { hostName: 'vm-1', address: '127.0.0.1', cores: 2 };
  const check = async (): Promise<HostReport> =>
    checkHost(host.configFile, loadAgentSettings({ file: host.configFile, flags: {}, env: {}, machine }), {
      only: ['configuration', 'files', 'ports', 'applications', 'identity', 'ca', 'consul', 'consul-acl'],
    });
  const findings = ({ checks }: HostReport): readonly string[] =>
    checks.flatMap((each) => each.findings.map(({ code, message }) => `${each.name} ${code} ${message}`));
  const report = await check();
  // A machine may let the kernel's own range begin below the ports of tests.
  assert.deepEqual(
    findings(report).filter((each) => !each.includes('TRY1102')),
    [],
  );
  const facts = Object.fromEntries(report.checks.map((each) => [each.name, each.facts.join('; ')]));
  assert.match(facts['ports'] ?? '', /^3 of 3 ports free or ours/);
  assert.match(
    facts['identity'] ?? '',
    /^joined as spiffe:\/\/cluster\.local\/host\/vm-1, .*; 1 of 1 workload certificates on disk$/,
  );
  await host.child.stop();
  await ca.child.stop();
  await consul.child.stop();
  assert.deepEqual(
    (await check()).checks.filter(({ state }) => state === 'error').map(({ name }) => name),
    ['ca', 'consul'],
  );
});
