import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotCapture } from '../capture/netns.ts';
import { eventually } from '../support/eventually.ts';
import { egressScene } from './egress-scene.ts';

const skip = cannotCapture();

function resource(kind: string, name: string, spec: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n---\n`;
}

const API = resource(
  'ServiceEntry',
  'api',
  `{hosts: [api.example.com], addresses: [10.9.0.5], resolution: STATIC, endpoints: [{address: 10.9.0.3}],
    ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 5432, name: pg, protocol: TCP}]}`,
);
const WILD = resource(
  'ServiceEntry',
  'wild',
  `{hosts: ['*.wild.example.com'], ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080},
    {number: 443, name: tls, protocol: TLS}]}`,
);
const NAMED = resource(
  'ServiceEntry',
  'named',
  `{hosts: [named.example.com], resolution: DNS, endpoints: [{address: three.test}],
    ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]}`,
);
const WHOLE_PORT = resource(
  'ServiceEntry',
  'whole-port',
  `{hosts: [mail.example.com], resolution: DNS_ROUND_ROBIN, endpoints: [{address: three.test}],
    ports: [{number: 7000, name: mail, protocol: TCP}]}`,
);
const DYNAMIC = resource(
  'ServiceEntry',
  'dynamic',
  `{hosts: ['*.dynamic.example.com'], resolution: DYNAMIC_DNS,
    ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]}`,
);
const HOSTS = ['10.9.0.3 three.test', '10.9.0.4 a.dynamic.example.com', '10.9.0.4 a.elsewhere.example.com'];

test('captured calls of external services', { skip }, async (t) => {
  const { client, tell, call, calls } = await egressScene(t, HOSTS);
  tell(API + WILD + NAMED + WHOLE_PORT + DYNAMIC);
  await eventually('the first listener', async () =>
    (await client.stats('listener_manager.workers_started')).endsWith(': 1\n'),
  );

  await t.test('requests by their Host, wherever they go', async () => {
    assert.equal(await call('http', '10.9.0.2', 80, 'api.example.com'), '200 10.9.0.3|8080 got api.example.com/x');
    assert.equal(
      await call('http', '10.9.0.2', 80, 'API.example.com:80'),
      '200 10.9.0.3|8080 got API.example.com:80/x',
    );
    assert.equal(await call('http', '10.9.0.2', 80, 'named.example.com.'), '200 10.9.0.3|80 got named.example.com./x');
    assert.equal(await call('http', '10.9.0.2', 80, '10.9.0.5'), '200 10.9.0.3|8080 got 10.9.0.5/x');
  });

  await t.test('requests to a wildcard of no resolution go where they went, at another port', async () => {
    assert.equal(
      await call('http', '10.9.0.2', 80, 'x.wild.example.com'),
      '200 10.9.0.2|8080 got x.wild.example.com/x',
    );
  });

  await t.test('requests and TLS to names that are resolved as they are called', async () => {
    assert.equal(
      await call('http', '10.9.0.2', 80, 'a.dynamic.example.com'),
      '200 10.9.0.4|80 got a.dynamic.example.com/x',
    );
    assert.equal(
      await call('tls', '10.9.0.2', 443, 'a.dynamic.example.com'),
      '10.9.0.4|443 asked for a.dynamic.example.com',
    );
    assert.match(await call('http', '10.9.0.2', 80, 'nobody.dynamic.example.com'), /^503 /);
  });

  await t.test('a name that is resolved says the host, not another port of it', async () => {
    assert.equal(
      await call('http', '10.9.0.2', 80, 'a.dynamic.example.com:8080'),
      '200 10.9.0.2|80 got a.dynamic.example.com:8080/x',
    );
  });

  await t.test('TLS by its server name', async () => {
    assert.equal(await call('tls', '10.9.0.2', 443, 'named.example.com'), '10.9.0.3|443 asked for named.example.com');
    assert.equal(await call('tls', '10.9.0.2', 443, 'x.wild.example.com'), '10.9.0.2|443 asked for x.wild.example.com');
    const counted = (await client.stats('wild.example.com')).split('\n');
    assert.ok(counted.includes('cluster.outbound|443||*.wild.example.com;.upstream_cx_total: 1'), counted.join('\n'));
  });

  await t.test('bytes by their address, or whatever comes to the port', async () => {
    assert.equal(await call('tcp', '10.9.0.5', 5432), '10.9.0.3|5432');
    assert.equal(await call('tcp', '10.9.0.4', 5432), '10.9.0.4|5432');
    assert.equal(await call('tcp', '10.9.0.2', 7000), '10.9.0.3|7000');
  });

  await t.test('ALLOW_ANY: what nobody describes goes where it went', async () => {
    assert.equal(await call('http', '10.9.0.2', 80, 'other.example.com'), '200 10.9.0.2|80 got other.example.com/x');
    assert.equal(
      await call('http', '10.9.0.2', 8080, 'other.example.com'),
      '200 10.9.0.2|8080 got other.example.com/x',
    );
    assert.equal(await call('tls', '10.9.0.2', 443, 'other.example.com'), '10.9.0.2|443 asked for other.example.com');
    assert.equal(await call('tls', '10.9.0.2', 443), '10.9.0.2|443 asked for false');
  });

  await t.test('REGISTRY_ONLY: it is refused', async () => {
    tell(API + WILD + NAMED + WHOLE_PORT + DYNAMIC, { outboundTrafficPolicy: 'REGISTRY_ONLY' });
    await eventually('the policy', async () => (await call('http', '10.9.0.2', 80, 'other.example.com')) === '502');
    await eventually(
      'the listener',
      async () => (await call('http', '10.9.0.2', 8080, 'x')) !== '200 10.9.0.2|8080 got x/x',
    );
    for (const [kind, port] of [
      ['http', 8080],
      ['tls', 443],
    ] as const)
      assert.match(await call(kind, '10.9.0.2', port, 'other.example.com'), /^(ECONNRESET|closed)$/, `${kind} ${port}`);
    assert.match(await call('tcp', '10.9.0.4', 5432), /^(ECONNRESET|closed)$/);
    assert.equal(await call('http', '10.9.0.2', 80, 'api.example.com'), '200 10.9.0.3|8080 got api.example.com/x');
    assert.equal(await call('tls', '10.9.0.2', 443, 'x.wild.example.com'), '10.9.0.2|443 asked for x.wild.example.com');
    assert.equal(await call('tcp', '10.9.0.5', 5432), '10.9.0.3|5432');
  });

  await t.test('ALLOW_ANY_DYNAMIC_DNS: requests go to whom their Host names', async () => {
    tell(API, { outboundTrafficPolicy: 'ALLOW_ANY_DYNAMIC_DNS' });
    await eventually(
      'the policy',
      async () =>
        (await call('http', '10.9.0.2', 80, 'a.elsewhere.example.com')) ===
        '200 10.9.0.4|80 got a.elsewhere.example.com/x',
    );
  });

  await t.test('VirtualServices: HTTP by Host, TLS by server name and range, TCP in shares', async () => {
    tell(
      API +
        NAMED +
        WILD +
        resource(
          'VirtualService',
          'http',
          `{hosts: [only-a-rule.example.com, api.example.com], http: [{match: [{uri: {prefix: /x}}], rewrite: {uri: /y}, route: [{destination: {host: named.example.com}}]}],
            tcp: [{match: [{port: 5432}], route: [{destination: {host: api.example.com}, weight: 1},
              {destination: {host: four.example.com}, weight: 3}]}]}`,
        ) +
        resource(
          'VirtualService',
          'tls',
          `{hosts: [named.example.com], tls: [{match: [{sniHosts: [named.example.com], destinationSubnets: [10.9.0.4/31]}],
            route: [{destination: {host: four.example.com, port: {number: 443}}}]}]}`,
        ) +
        resource(
          'ServiceEntry',
          'four',
          '{hosts: [four.example.com], addresses: [10.99.0.4], resolution: STATIC, endpoints: [{address: 10.9.0.4}], ports: [{number: 5432, protocol: TCP}, {number: 443, name: tls, protocol: TLS}]}',
        ),
      { outboundTrafficPolicy: 'REGISTRY_ONLY' },
    );
    await eventually(
      'the rules',
      async () =>
        (await call('http', '10.9.0.2', 80, 'only-a-rule.example.com')) ===
        '200 10.9.0.3|80 got only-a-rule.example.com/y',
    );
    assert.equal(await call('http', '10.9.0.2', 80, 'api.example.com'), '200 10.9.0.3|80 got api.example.com/y');
    // Chains of the listener come after the routes.
    await eventually('the listener', async () =>
      assert.equal(await call('tls', '10.9.0.5', 443, 'named.example.com'), '10.9.0.4|443 asked for named.example.com'),
    );
    assert.equal(await call('tls', '10.9.0.2', 443, 'named.example.com'), '10.9.0.3|443 asked for named.example.com');
    assert.equal(await call('tls', '10.9.0.5', 443, 'named.example.com'), '10.9.0.4|443 asked for named.example.com');
    // The range does not strand those who ask for another service there: what no chain takes would be closed.
    assert.equal(await call('tls', '10.9.0.5', 443, 'x.wild.example.com'), '10.9.0.5|443 asked for x.wild.example.com');
    const answers = await calls('tcp', '10.9.0.5', 5432, '', 200);
    const fours = answers.filter((answer) => answer === '10.9.0.4|5432').length;
    assert.equal(answers.filter((answer) => answer === '10.9.0.3|5432').length, 200 - fours);
    // 150 expected, standard deviation 6.
    assert.ok(Math.abs(fours - 150) < 40, String(fours));
  });

  assert.deepEqual(client.rejected, []);
});
