/** What clusters are called in the statistics of a real Envoy, by the mesh configuration. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { meshConfigOf } from '../support/mesh-config.ts';
import { freePorts } from '../support/ports.ts';
import { call, httpApplication } from '../translate/applications.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host, mesh, service, workload } from '../translate/mesh-literals.ts';
import { PLAIN, routes, startBookshop, to } from './bookshop.ts';

test('of services that are called', async (t) => {
  const config = meshConfigOf("outboundClusterStatName: '%SERVICE_FQDN%_%SERVICE_PORT%_%SUBSET_NAME%'");
  const shop = await startBookshop(t, { versions: { v1: PLAIN }, rules: [routes({ route: [to('v1')] })], config });
  assert.equal((await shop.call()).status, 200);
  assert.equal(await shop.envoy.stat('cluster.reviews.default.mesh_9080_v1;.upstream_rq_200'), 1);
  assert.doesNotMatch(await shop.envoy.admin('/stats?filter=upstream_rq_total'), /outbound\|/);
});

test('of applications', async (t) => {
  const [port = 0, app = 0] = await freePorts(2);
  await httpApplication(t, app);
  const web = service('web', 'HTTP', {
    tls: 'plain',
    identities: [],
    ports: [{ number: port, name: 'http-web', protocol: 'HTTP' }],
  });
  const config = meshConfigOf("inboundClusterStatName: '%SERVICE%_%SERVICE_PORT_NAME%_%TARGET_PORT%'");
  const self = host({
    workloads: [workload('web', 'HTTP', port, app)],
    callerIdentity: undefined,
    withoutCertificates: true,
  });
  const envoy = await startEnvoy(t, mesh([[web, []]], { config }), self, []);
  assert.equal((await call(port)).status, 200);
  assert.equal(await envoy.stat(`cluster.web.default_http-web_${app};.upstream_rq_200`), 1);
});
