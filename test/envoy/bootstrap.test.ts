/** The bootstrap against the real Envoy: accepted, with an admin socket of its own and a health listener. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { AdminClient } from '../../src/envoy/admin.ts';
import { bootstrapText, buildBootstrap, writeBootstrap } from '../../src/envoy/bootstrap.ts';
import { HEALTH_PATH } from '../../src/envoy/health-listener.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { soon, supervisor, testEnvoy } from './support.ts';

async function validate(t: TestContext, change: (bootstrap: Record<string, unknown>) => void): Promise<string> {
  const dir = await tempDir(t);
  const bootstrap = {
    ...buildBootstrap({
      nodeId: 'vm-1',
      nodeCluster: 'reviews.default',
      locality: { region: 'eu', zone: 'a', subzone: '1' },
      metadata: { version: '0.1.0' },
      xdsSocket: join(dir, 'xds.sock'),
      adminSocket: join(dir, 'admin.sock'),
      healthListener: { address: '127.0.0.1', port: 15_021 },
    }),
  };
  change(bootstrap);
  const path = join(dir, 'bootstrap.json');
  await writeBootstrap(path, bootstrapText(bootstrap));
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const { stderr } = await promisify(execFile)(envoyBinary(), ['--mode', 'validate', '-c', path, '-l', 'warning']);
  return stderr;
}

test('Envoy accepts the bootstrap without a warning of an old or unknown field', async (t) => {
  const said = await validate(t, () => undefined);
  assert.doesNotMatch(said, /deprecated|unknown|no configured limit/i);
});

test('Envoy would refuse a bootstrap with a field that it does not know', async (t) => {
  await assert.rejects(
    validate(t, (bootstrap) => {
      bootstrap['nonsense'] = 1;
    }),
    /nonsense/,
  );
});

test('the admin socket is open to its owner alone, and the health listener follows healthcheck/fail', async (t) => {
  const envoy = await testEnvoy(t);
  const supervised = supervisor(t, envoy);
  await supervised.start();
  await supervised.ready(soon());
  assert.equal((await stat(envoy.options.adminSocket)).mode & 0o777, 0o600);
  const health = async (path = HEALTH_PATH): Promise<number> =>
    (await fetch(`http://127.0.0.1:${envoy.healthPort}${path}`)).status;
  assert.equal(await health(), 200);
  assert.equal(await health('/other'), 404);
  await supervised.admin.failHealthCheck();
  assert.equal(await health(), 503);
  await supervised.admin.passHealthCheck();
  assert.equal(await health(), 200);
});

test('statistics of names with dots carry the whole name, and Envoy does not complain of the rules', async (t) => {
  const envoy = await testEnvoy(t);
  const resources = envoy.options.bootstrap['static_resources'] as Record<string, unknown[]>;
  resources['clusters']?.push({
    name: 'outbound|9080||reviews.default.mesh',
    alt_stat_name: 'outbound|9080||reviews.default.mesh;',
    type: 'STATIC',
  });
  const prefix = 'outbound_127.0.0.1_9080;';
  resources['listeners']?.push({
    name: 'outbound',
    stat_prefix: prefix,
    address: { pipe: { path: join(envoy.runDir, 'outbound.sock') } },
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: prefix,
              route_config: { name: 'none' },
              http_filters: [
                {
                  name: 'envoy.filters.http.router',
                  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                },
              ],
            },
          },
        ],
      },
    ],
  });
  const supervised = supervisor(t, envoy);
  await supervised.start();
  await supervised.ready(soon());
  const http = await supervised.admin.get('/stats?format=prometheus&filter=http.*rq_total$');
  for (const name of ['outbound_127.0.0.1_9080', 'admin'])
    assert.match(
      http,
      new RegExp(`^envoy_http_downstream_rq_total\\{envoy_http_conn_manager_prefix="${name}"\\} `, 'm'),
    );
  assert.doesNotMatch(await readFile(join(envoy.runDir, 'envoy.log'), 'utf8'), /duplicate tag/);
  const text = await supervised.admin.get('/stats?format=prometheus&filter=upstream_cx_total');
  assert.match(
    text,
    /^envoy_cluster_upstream_cx_total\{envoy_cluster_name="outbound\|9080\|\|reviews\.default\.mesh"\} 0$/m,
  );
  assert.match(text, /^envoy_cluster_upstream_cx_total\{envoy_cluster_name="xds-grpc"\} 0$/m);
});

test('an admin client names what went wrong', async (t) => {
  const envoy = await testEnvoy(t);
  await assert.rejects(new AdminClient(envoy.options.adminSocket).ready(), { code: 'ENVOY_ADMIN_UNREACHABLE' });
  const supervised = supervisor(t, envoy);
  await supervised.start();
  await supervised.ready(soon());
  const { admin } = supervised;
  await assert.rejects(admin.get('/nothing'), { code: 'ENVOY_ADMIN_REFUSED' });
  await assert.rejects(admin.configDump('', { maxBytes: 100 }), { code: 'ENVOY_ADMIN_TOO_LARGE' });
  assert.equal((await admin.serverInfo()).state, 'LIVE');
  assert.equal((await admin.stats('^server\\.live$')).get('server.live'), 1);
  assert.match(JSON.stringify(await admin.clusters('^xds-grpc$')), /xds-grpc/);
  assert.match(JSON.stringify(await admin.listeners()), /inbound/);
  assert.deepEqual(await admin.certificates(), { certificates: [] });
});
