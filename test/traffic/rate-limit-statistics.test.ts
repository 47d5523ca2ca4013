/** What Prometheus gets of rate limits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limit, rateLimit, startLimited, statuses } from './limited-service.ts';

test('limits are a label of their statistics, whoever counts them', async (t) => {
  const server = { host: 'nowhere.default.mesh', port: undefined, domain: 'd', timeoutMs: 10, failClosed: false };
  const local = rateLimit([limit()]);
  const asked = rateLimit([limit()], { meta: { ...local.meta, name: 'asked' }, server });
  const { port, server: envoy } = await startLimited(t, { rateLimits: [local, asked] });
  await statuses(port, 5);
  assert.match(
    await envoy.stats('http_local_rate_limit.enforced&format=prometheus'),
    /^envoy_http_local_rate_limit_enforced\{envoy_local_http_ratelimit_prefix="default\/api\/all"\} 2$/m,
  );
  assert.match(
    await envoy.stats('ratelimit.default&format=prometheus'),
    /^envoy_cluster_ratelimit_error\{envoy_cluster_name="inbound\|\d+\|\|",envoy_http_ratelimit_prefix="default\/asked\/all"\} 3$/m,
  );
});
