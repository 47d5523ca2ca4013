import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { composeAgentYaml, composeMeshConfig } from './join-config.ts';
import { type JoinSettings, parseService, parseUpstream } from './join-settings.ts';

const PATHS = { tokenFile: '/etc/trysail/join.token', meshConfigFile: undefined, trustDomain: 'prod.example' };
const WANTED: JoinSettings = {
  name: 'vm-1',
  address: '10.0.0.5',
  consulAddress: undefined,
  services: [{ name: 'orders', port: 8080, application: '127.0.0.1:9090' }],
  upstreams: [{ service: 'payments', listen: '127.0.0.1:9001' }],
};

test('a new agent.yaml has what is not default, with comments, and nothing else', () => {
  const { text, added, kept } = composeAgentYaml(undefined, WANTED, PATHS);
  assert.deepEqual(parse(text), {
    host: { name: 'vm-1', address: '10.0.0.5' },
    identity: { ca: { joinTokenFile: '/etc/trysail/join.token' } },
    services: [{ name: 'orders', port: 8080, application: '127.0.0.1:9090' }],
    upstreams: [{ service: 'payments', listen: '127.0.0.1:9001' }],
  });
  assert.match(text, /^# This host in the mesh prod\.example\./);
  assert.match(text, / {2}address: 10\.0\.0\.5 {2}# where peers reach this host/);
  assert.equal(added.length, 5);
  assert.deepEqual(kept, []);
  const bare = composeAgentYaml(undefined, { services: [], upstreams: [] }, PATHS);
  assert.deepEqual(parse(bare.text), { identity: { ca: { joinTokenFile: '/etc/trysail/join.token' } } });
});

test('an agent.yaml that is there keeps what it says, comments included, and gets what it lacks', () => {
  const existing = `# mine
host:
  name: other # because
services:
  # the first
  - name: orders
    port: 8081
`;
  const { text, added, kept } = composeAgentYaml(
    existing,
    { ...WANTED, services: [...WANTED.services, { name: 'cart' }] },
    PATHS,
  );
  assert.match(text, /^# mine\nhost:\n {2}name: other # because\n {2}address: 10\.0\.0\.5\n/);
  assert.match(text, /# the first/);
  const value = parse(text) as { services: readonly unknown[]; host: object };
  assert.deepEqual(value.services, [{ name: 'orders', port: 8081 }, { name: 'cart' }]);
  assert.deepEqual(added, [
    '+ host.address: 10.0.0.5',
    '+ identity.ca.joinTokenFile: /etc/trysail/join.token',
    '+ services[]: { name: cart }',
    '+ upstreams[]: { service: payments, listen: 127.0.0.1:9001 }',
  ]);
  assert.deepEqual(kept, [
    'host.name is other, asked for was vm-1',
    'services has { name: orders, port: 8081 }, asked for was { name: orders, port: 8080, application: 127.0.0.1:9090 }',
  ]);
  const again = composeAgentYaml(text, { ...WANTED, name: 'other', services: [{ name: 'cart' }] }, PATHS);
  assert.equal(again.text, text, 'not a byte is touched where nothing is added');
  assert.deepEqual([again.added, again.kept], [[], []]);
  const empty = composeAgentYaml(
    '# nothing yet\n',
    { services: [{ name: 'cart' }, { name: 'web' }], upstreams: [] },
    PATHS,
  );
  assert.deepEqual(parse(empty.text), {
    identity: { ca: { joinTokenFile: '/etc/trysail/join.token' } },
    services: [{ name: 'cart' }, { name: 'web' }],
  });
  for (const broken of ['a: [', '- a list\n'])
    assert.throws(() => composeAgentYaml(broken, WANTED, PATHS), { code: 'CONFIGURATION_INVALID' });
});

test('meshconfig.yaml: the one of the CA, the trust domain alone, or what is there', () => {
  assert.deepEqual(parse(composeMeshConfig(undefined, undefined, 'prod.example').text), {
    trustDomain: 'prod.example',
  });
  const given = '# of the fleet\ntrustDomain: prod.example\nconnectTimeout: 1s\n';
  const fromCa = composeMeshConfig(undefined, given, 'prod.example');
  assert.equal(fromCa.text, given);
  assert.deepEqual(fromCa.added, ['+ trustDomain: prod.example', '+ connectTimeout: 1s']);
  const kept = composeMeshConfig('trustDomain: prod.example\n', given, 'prod.example');
  assert.equal(kept.text, 'trustDomain: prod.example\n');
  assert.equal(kept.kept.length, 1);
  assert.deepEqual(composeMeshConfig(given, given, 'prod.example').kept, []);
});

test('the short forms of services and upstreams', () => {
  assert.deepEqual(parseService('orders'), { name: 'orders' });
  assert.deepEqual(parseService('shop/orders:8080'), { name: 'orders', namespace: 'shop', port: 8080 });
  assert.deepEqual(parseService('orders:8080=9090')['application'], '127.0.0.1:9090');
  assert.deepEqual(parseService('orders:8080=[::1]:9090')['application'], '[::1]:9090');
  assert.deepEqual(parseUpstream('payments'), { service: 'payments' });
  assert.deepEqual(parseUpstream('payments=9001'), { service: 'payments', listen: '127.0.0.1:9001' });
  assert.deepEqual(parseUpstream('shop/payments:443=127.0.0.9:1'), {
    service: { name: 'payments', namespace: 'shop' },
    port: 443,
    listen: '127.0.0.9:1',
  });
  assert.equal(
    parseUpstream('payments=unix:/run/trysail/upstreams/orders/p.sock')['listen'],
    'unix:/run/trysail/upstreams/orders/p.sock',
  );
  assert.equal(parseUpstream('api.example.com:443')['service'], 'api.example.com');
  for (const wrong of ['', 'Orders!', 'orders:x', 'a/b/c', 'orders=9090'])
    assert.throws(() => parseService(wrong), { code: 'JOIN_OPTION_INVALID' }, wrong);
  for (const wrong of ['', 'pay ments=1', 'payments=', '=9001'])
    assert.throws(() => parseUpstream(wrong), { code: 'JOIN_OPTION_INVALID' }, wrong);
});
