import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BootstrapOptions, bootstrapText, buildBootstrap, hashText, XDS_CLUSTER } from './bootstrap.ts';

const OPTIONS: BootstrapOptions = {
  nodeId: 'vm-1',
  nodeCluster: 'reviews.default',
  locality: { region: 'eu', zone: 'a', subzone: '1' },
  xdsSocket: '/run/trysail/xds.sock',
  adminSocket: '/run/trysail/admin.sock',
  healthListener: { address: '10.0.0.5', port: 15_021 },
};

test('buildBootstrap() gives equal text for equal options and another hash for others', () => {
  const hash = (options: BootstrapOptions): string => hashText(bootstrapText(buildBootstrap(options)));
  assert.equal(hash(OPTIONS), hash({ ...OPTIONS }));
  assert.notEqual(hash(OPTIONS), hash({ ...OPTIONS, healthListener: { address: '10.0.0.5', port: 15_022 } }));
  assert.notEqual(hash(OPTIONS), hash({ ...OPTIONS, maxConnections: 10 }));
});

test('buildBootstrap() takes clusters and listeners from the agent by delta ADS and waits for them', () => {
  const { dynamic_resources: dynamic } = buildBootstrap(OPTIONS) as {
    dynamic_resources: { ads_config: Record<string, unknown>; lds_config: unknown; cds_config: unknown };
  };
  assert.equal(dynamic.ads_config['api_type'], 'DELTA_GRPC');
  assert.deepEqual(dynamic.ads_config['grpc_services'], [
    {
      envoy_grpc: {
        cluster_name: XDS_CLUSTER,
        retry_policy: { retry_back_off: { base_interval: '0.010s', max_interval: '0.250s' } },
      },
    },
  ]);
  const fromAds = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };
  assert.deepEqual([dynamic.lds_config, dynamic.cds_config], [fromAds, fromAds]);
});

test('buildBootstrap() leaves the health listener out where there is none', () => {
  const { healthListener: _, ...rest } = OPTIONS;
  const { static_resources: fixed } = buildBootstrap(rest) as { static_resources: Record<string, unknown> };
  assert.equal(fixed['listeners'], undefined);
});
