// What dies, and what traffic does then.
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startTwoHosts, type TwoHosts } from './two-hosts.ts';

/** Requests without pause while `work` goes on; resolves to the failures, each as a word. */
async function during(mesh: TwoHosts, work: () => Promise<void>): Promise<readonly string[]> {
  const failures: string[] = [];
  const done = new AbortController();
  const load = (async (): Promise<void> => {
    while (!done.signal.aborted) {
      try {
        const response = await fetch(mesh.url);
        await response.text();
        if (response.status !== 200) failures.push(String(response.status));
      } catch (error) {
        failures.push(String(error));
      }
    }
  })();
  try {
    await work();
  } finally {
    done.abort();
    await load;
  }
  return failures;
}

test('outages', async (t) => {
  const mesh = await startTwoHosts(t);
  const envoyPid = async (): Promise<number> => (await mesh.frontend.status()).envoy.pid ?? 0;

  await t.test('the agent killed and started again: no failed request, the same Envoy', async () => {
    const before = await envoyPid();
    const failures = await during(mesh, async () => {
      await mesh.frontend.child.stop('SIGKILL');
      mesh.frontend.start();
      await mesh.frontend.ready();
    });
    assert.deepEqual(failures, []);
    assert.equal(await envoyPid(), before);
  });

  await t.test('a certificate rotated: no failed request, another serial', async () => {
    const serial = async (): Promise<string> => (await mesh.frontend.status()).certificates.workloads[0]?.serial ?? '';
    const before = await serial();
    const failures = await during(mesh, async () => {
      const { request } = await import('node:http');
      await new Promise<void>((resolve, reject) => {
        const call = request(
          { socketPath: join(mesh.frontend.runDir, 'api.sock'), path: '/v1/rotate', method: 'POST' },
          (r) => {
            r.resume();
            r.once('end', () => (r.statusCode === 200 ? resolve() : reject(new Error(`status ${r.statusCode}`))));
          },
        );
        call.once('error', reject);
        call.end('{}');
      });
    });
    assert.deepEqual(failures, []);
    assert.notEqual(await serial(), before);
  });

  await t.test('Envoy killed: started again, traffic returns', async () => {
    const before = await envoyPid();
    process.kill(before, 'SIGKILL');
    await eventually(
      'another Envoy serves',
      async () => (await fetch(mesh.url)).status === 200 && (await envoyPid()) !== before,
    );
  });

  await t.test('a resource that is not YAML, half of one, or refused by Envoy costs nothing else', async () => {
    await mesh.resource('routes.yaml', {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'backend' },
      spec: { hosts: ['backend'], http: [{ route: [{ destination: { host: 'backend' } }], timeout: '7s' }] },
    });
    await writeFile(join(mesh.resources, 'broken.yaml'), 'apiVersion: networking.istio.io/v1\nkind: [half');
    await eventually('the file is reported with its line', async () => {
      const found = (await mesh.frontend.status()).diagnostics;
      return found.some(
        (d) => d.code === 'TRY0001' && d.source?.file.endsWith('broken.yaml') === true && d.source.line >= 1,
      );
    });
    assert.equal((await fetch(mesh.url)).status, 200);
    await rm(join(mesh.resources, 'broken.yaml'));
    // RE2 refuses more than a thousand repetitions.
    await mesh.resource('routes.yaml', {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'backend' },
      spec: {
        hosts: ['backend'],
        http: [{ match: [{ uri: { regex: '/(a{900}){9}' } }], route: [{ destination: { host: 'backend' } }] }],
      },
    });
    await eventually('somebody refuses it', async () => {
      const found = (await mesh.frontend.status()).diagnostics;
      return found.some((d) => d.severity === 'error');
    });
    assert.equal((await fetch(mesh.url)).status, 200);
    await rm(join(mesh.resources, 'routes.yaml'));
    await eventually('nothing is wrong any more', async () => {
      const found = (await mesh.frontend.status()).diagnostics;
      return !found.some((d) => d.severity === 'error');
    });
  });

  await t.test(
    'Consul and the CA away: the last good state serves, also through a restart of agent and Envoy',
    async () => {
      await Promise.all([mesh.consul.child.stop('SIGKILL'), mesh.ca.child.stop('SIGKILL')]);
      assert.equal((await fetch(mesh.url)).status, 200);
      const before = await envoyPid();
      await mesh.frontend.child.stop('SIGKILL');
      process.kill(before, 'SIGKILL');
      mesh.frontend.start();
      await eventually('traffic passes again', async () => (await fetch(mesh.url)).status === 200);
      assert.notEqual(await envoyPid(), before);
      const status = await mesh.frontend.status();
      assert.equal(status.consul?.connected, false);
      assert.equal(status.agent.lastGood, true);
    },
  );

  await t.test('a graceful stop deregisters and ends Envoy', async () => {
    const pid = await envoyPid();
    await mesh.frontend.child.stop('SIGTERM');
    assert.equal(mesh.frontend.child.process.exitCode, 0, mesh.frontend.child.output());
    assert.throws(() => process.kill(pid, 0), /ESRCH/);
  });
});
