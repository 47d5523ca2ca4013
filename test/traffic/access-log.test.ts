/** What stands in the access log, by the mesh configuration: a real Envoy that writes a file. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { meshConfigOf } from '../support/mesh-config.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { exchange, httpApplication } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host, spiffe, workload } from '../translate/mesh-literals.ts';
import { PLAIN, startBookshop } from './bookshop.ts';
import { meshOf } from './gateway-host.ts';
import { callTls } from './tls-client.ts';

/** The first line of the log for one request. */
async function lineOf(t: TestContext, rest: string): Promise<string> {
  const file = join(await tempDir(t), 'access.log');
  const config = meshConfigOf(`accessLogFile: ${file}\n${rest}`);
  const shop = await startBookshop(t, { versions: { v1: PLAIN }, rules: [], config });
  const answer = await shop.call({ path: '/a?b=c', headers: { host: 'reviews', 'user-agent': 'a "b"' } });
  assert.equal(answer.status, 200);
  const text = await eventually('a line', async () => {
    const read = await readFile(file, 'utf8');
    assert.ok(read.endsWith('\n'));
    return read;
  });
  const [line = '', ...others] = text.trimEnd().split('\n');
  assert.deepEqual(others, []);
  return line;
}

test("a file alone: Istio's line", async (t) => {
  const line = await lineOf(t, '');
  assert.match(
    line,
    /^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] "GET \/a\?b=c HTTP\/1\.1" 200 - via_upstream - "-" 0 2 \d+ \d+ "-" "a "b"" "[0-9a-f-]{36}" "reviews" "127\.0\.0\.1:\d+" outbound\|9080\|\|reviews\.default\.mesh 127\.0\.0\.1:\d+ 127\.0\.0\.1:\d+ 127\.0\.0\.1:\d+ - \S+$/,
  );
});

test("JSON: Istio's fields", async (t) => {
  const fields = JSON.parse(await lineOf(t, 'accessLogEncoding: JSON')) as Record<string, unknown>;
  assert.equal(Object.keys(fields).length, 24);
  const { method, path, response_code: code, user_agent: agent, upstream_cluster: cluster, bytes_sent: sent } = fields;
  assert.deepEqual(
    { method, path, code, agent, cluster, sent, sni: fields['requested_server_name'] },
    {
      method: 'GET',
      path: '/a?b=c',
      code: 200,
      agent: 'a "b"',
      cluster: 'outbound|9080||reviews.default.mesh',
      sent: 2,
      sni: null,
    },
  );
});

test('a line of its own', async (t) => {
  const line = await lineOf(
    t,
    "accessLogFormat: '%REQ(:METHOD)% %PATH(NQ)% %REQ(:AUTHORITY):3% 100%% %RESPONSE_CODE%'",
  );
  assert.equal(line, 'GET /a rev 100% 200');
});

test('fields of its own', async (t) => {
  const line = await lineOf(
    t,
    `accessLogEncoding: JSON
accessLogFormat: |
  {"what": {"how": "%REQ(:METHOD)%", "list": ["%RESPONSE_CODE%", 7]}, "mesh": true, "text": "to %REQ(:AUTHORITY)%"}
`,
  );
  assert.deepEqual(JSON.parse(line), {
    what: { how: 'GET', list: [200, 7] },
    mesh: true,
    text: 'to reviews',
  });
});

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
`;

for (const [rest, flags] of [
  ['', ['NR', '-']],
  ['disableEnvoyListenerLog: true', ['-']],
] as const)
  test(`plain text at a port that takes mutual TLS alone, then a peer: ${flags.join(', ')}`, async (t) => {
    const file = join(await tempDir(t), 'access.log');
    const config = meshConfigOf(`accessLogFile: ${file}\naccessLogFormat: '%RESPONSE_FLAGS%'\n${rest}`);
    const [port = 0, app = 0] = await freePorts(2);
    await httpApplication(t, app);
    const authority = await testAuthority();
    const self = host({ workloads: [workload('web', 'HTTP', port, app)], callerIdentity: undefined });
    await startEnvoy(t, meshOf(STRICT, config), self, await authority.secrets(spiffe('web')));
    assert.equal(await exchange(port, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'), undefined);
    const client = await authority.issue(spiffe('caller'));
    const answer = await callTls(port, { serverName: 'web', ca: authority.rootPem, client, checkName: false });
    assert.equal(answer.status, 200);
    const lines = await eventually('the line of the peer', async () => {
      const read = await readFile(file, 'utf8');
      assert.ok(read.endsWith('-\n'));
      return read.trimEnd().split('\n');
    });
    assert.deepEqual(lines, flags);
  });
