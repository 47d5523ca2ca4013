/** What stands before gateways, by the mesh configuration: which address and which certificate a service is told of. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { GatewayRole } from '../../src/model/host.ts';
import { eventually } from '../support/eventually.ts';
import { meshConfigOf } from '../support/mesh-config.ts';
import { freePorts } from '../support/ports.ts';
import { exchange, httpApplication, type Seen } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { ingressRole, startGateway } from './gateway-host.ts';
import { allTo, gatewayYaml, httpServer, outsideYaml, ruleYaml } from './gateway-yaml.ts';

const authority = await testAuthority();

/** The headers that arrive for these; undefined: the connection was closed without an answer. */
type Send = (headers: Readonly<Record<string, string>>, before?: string) => Promise<Seen['headers'] | undefined>;

const PROXY = 'PROXY TCP4 203.0.113.7 127.0.0.1 4000 80\r\n';

/** @param first what begins the first connection */
async function start(t: TestContext, topology: string, role: Partial<GatewayRole> = {}, first = ''): Promise<Send> {
  const [port = 0, app = 0] = await freePorts(2);
  const seen = await httpApplication(t, app, 'web');
  await startGateway(t, {
    authority,
    roles: [ingressRole(role)],
    config: meshConfigOf(`defaultConfig: {gatewayTopology: ${topology}}`),
    yaml:
      outsideYaml('web', 'HTTP', app) +
      gatewayYaml(httpServer(port, '[book.test]')) +
      ruleYaml('r', '[book.test]', allTo('web.test')),
  });
  const send: Send = async (headers, before = '') => {
    const count = seen.length;
    const lines = Object.entries({ host: 'book.test', connection: 'close', ...headers });
    const request = `GET / HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
    const answer = await exchange(port, before + request);
    if (answer === undefined) return undefined;
    assert.match(answer, /^HTTP\/1\.1 200/);
    assert.equal(seen.length, count + 1);
    return seen.at(-1)?.headers;
  };
  await eventually('the gateway answers', async () => assert.ok(await send({}, first)));
  return send;
}

const FORWARDED = { 'x-forwarded-for': '203.0.113.1, 203.0.113.2' };

for (const [what, topology, role, address] of [
  ['nobody before it is trusted', '{}', {}, '127.0.0.1'],
  ['the last of those before it is trusted', '{numTrustedProxies: 1}', {}, '203.0.113.2'],
  ['the last two are', '{numTrustedProxies: 2}', {}, '203.0.113.1'],
  ['agent.yaml says otherwise', '{numTrustedProxies: 2}', { trustedHops: 1 }, '203.0.113.2'],
  ['agent.yaml trusts nobody', '{numTrustedProxies: 2}', { trustedHops: 0 }, '127.0.0.1'],
] as const)
  test(`the address of the caller: ${what}`, async (t) => {
    const send = await start(t, topology, role);
    const headers = await send(FORWARDED);
    assert.equal(headers?.['x-envoy-external-address'], address);
    assert.ok(String(headers['x-forwarded-for']).startsWith(`${FORWARDED['x-forwarded-for']},`));
  });

const CERTIFICATE = { 'x-forwarded-client-cert': 'By=spiffe://x;URI=spiffe://cluster.local/ns/a/sa/admin' };

for (const [kind, passes] of [
  ['UNDEFINED', false],
  ['SANITIZE', false],
  ['SANITIZE_SET', false],
  ['FORWARD_ONLY', false],
  ['APPEND_FORWARD', false],
  ['ALWAYS_FORWARD_ONLY', true],
] as const)
  test(`a certificate that a caller without TLS tells of, ${kind}: ${passes ? 'is passed on' : 'is removed'}`, async (t) => {
    const send = await start(t, `{forwardClientCertDetails: ${kind}}`);
    const headers = await send(CERTIFICATE);
    assert.ok(headers !== undefined);
    const { 'x-forwarded-client-cert': told } = headers;
    assert.equal(told, passes ? CERTIFICATE['x-forwarded-client-cert'] : undefined);
  });

test('the PROXY protocol', async (t) => {
  const send = await start(t, '{proxyProtocol: {}}', {}, PROXY);
  const headers = await send({}, PROXY);
  assert.equal(headers?.['x-forwarded-for'], '203.0.113.7');
  assert.equal(await send({}), undefined, 'a connection without the header is closed');
});
