// Callers outside who try to steer Envoy, to pass for others or to hold on to it.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { call, httpApplication, type Seen } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { ingressRole, startGateway } from './gateway-host.ts';
import { allTo, gatewayYaml, httpServer, outsideYaml, ruleYaml } from './gateway-yaml.ts';

const authority = await testAuthority();

/** Everything by which a caller inside of Envoy's trust may steer it. */
const STEERING = {
  'x-envoy-retry-on': '5xx',
  'x-envoy-max-retries': '5',
  'x-envoy-retriable-status-codes': '503',
  'x-envoy-upstream-rq-timeout-ms': '1',
  'x-envoy-upstream-rq-per-try-timeout-ms': '1',
  'x-envoy-hedge-on-per-try-timeout': 'true',
  'x-envoy-expected-rq-timeout-ms': '1',
  'x-envoy-upstream-alt-stat-name': 'evil',
  'x-envoy-upstream-stream-duration-ms': '1',
  'x-envoy-decorator-operation': 'evil',
  'x-envoy-downstream-service-cluster': 'evil',
  'x-envoy-downstream-service-node': 'evil',
  'x-envoy-external-address': '6.6.6.6',
  'x-envoy-internal': 'true',
  'x-envoy-force-trace': 'true',
  'x-envoy-ip-tags': 'evil',
  'x-envoy-original-path': '/evil',
};

/** What would steer an Envoy that is told to heed it. None is. */
const UNHEEDED = {
  'x-envoy-original-dst-host': '127.0.0.1:22',
  'x-envoy-fault-abort-request': '418',
  'x-envoy-fault-delay-request': '600000',
};

async function start(
  t: TestContext,
  trustedHops: number | undefined,
): Promise<{ readonly port: number; readonly seen: readonly Seen[] }> {
  const [port = 0, app = 0] = await freePorts(2);
  const seen = await httpApplication(t, app, 'web');
  await startGateway(t, {
    authority,
    roles: [ingressRole(trustedHops === undefined ? {} : { trustedHops })],
    yaml:
      outsideYaml('web', 'HTTP', app) +
      gatewayYaml(httpServer(port, '[book.test]')) +
      ruleYaml('r', '[book.test]', allTo('web.test')),
  });
  await eventually('the gateway answers', async () =>
    assert.equal((await call(port, { headers: { host: 'book.test' } })).status, 200),
  );
  return { port, seen };
}

for (const [trustedHops, forwarded] of [
  [undefined, '10.0.0.1'],
  [1, '10.0.0.1'],
] as const)
  test(`headers that steer Envoy are not heeded of callers outside (${trustedHops ?? 'no'} trusted hops)`, async (t) => {
    const { port, seen } = await start(t, trustedHops);
    const before = seen.length;
    const headers = { host: 'book.test', 'x-status': '503', 'x-forwarded-for': forwarded, ...STEERING, ...UNHEEDED };
    const { status } = await call(port, { headers });
    assert.equal(status, 503);
    assert.equal(seen.length - before, 1, 'no retries by the word of the caller');
    const got = seen.at(-1)?.headers ?? {};
    const left = Object.entries(STEERING).filter(([name, value]) => got[name] === value);
    assert.deepEqual(left, []);
  });

/** The settings of a connection's HTTP/2 that a server announces first, by their number. */
async function announced(port: number): Promise<ReadonlyMap<number, number>> {
  const preface = Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
  ]);
  const frame = await new Promise<Buffer>((resolve, reject) => {
    let got = Buffer.alloc(0);
    const socket = connect(port, '127.0.0.1', () => socket.write(preface));
    socket.setTimeout(30_000, () => socket.destroy(new Error('no settings in 30 s')));
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      if (got.length < 9 || got.length < 9 + got.readUIntBE(0, 3)) return;
      resolve(got.subarray(9, 9 + got.readUIntBE(0, 3)));
      socket.destroy();
    });
  });
  const settings = new Map<number, number>();
  for (let at = 0; at + 6 <= frame.length; at += 6) settings.set(frame.readUInt16BE(at), frame.readUInt32BE(at + 2));
  return settings;
}

test('one connection of a caller outside gets a bounded share', async (t) => {
  const { port } = await start(t, undefined);
  const settings = await announced(port);
  // SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_INITIAL_WINDOW_SIZE.
  assert.deepEqual([settings.get(3), settings.get(4)], [100, 262_144]);
});
