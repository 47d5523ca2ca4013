/** Mode `observe` and a direct connection, compared byte by byte on both sides. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { callHttp2, http2Application } from '../translate/applications.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { endpoint, host, mesh, SERVICE_PORT, service } from '../translate/mesh-literals.ts';
import { CASES, type Case } from './http-cases.ts';
import { observe } from './observed-application.ts';
import { type Conversation, converse, type Outcome, rawApplication } from './raw-conversation.ts';

const ENVOYS_DATE = /^date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/m;

function expected(direct: Outcome, { differs }: Case): Outcome {
  if (differs === undefined) return direct;
  const { application = (text: string) => text, client = (text: string) => text } = differs;
  return {
    application: direct.application.flatMap((text) => application(text) ?? []),
    client: client(direct.client),
    end: differs.end ?? direct.end,
    from: 'from' in differs ? differs.from : direct.from,
  };
}

test('a request is the same through observe, but for what is listed', async (t) => {
  const application = await rawApplication(t);
  const { inbound, outbound } = await observe(t, application.port);
  for (const one of CASES) {
    await t.test(one.name, async () => {
      const direct = await converse(application.port, application, one);
      for (const port of [inbound.HTTP, outbound.HTTP]) {
        const wanted = expected(direct, one);
        const through = await converse(port, application, one, wanted.end);
        const seen = { ...through, client: through.client.replace(ENVOYS_DATE, 'date: <now>') };
        assert.deepEqual(seen, wanted);
        if (one.differs !== undefined) assert.notDeepEqual(seen, direct, 'the difference is none');
      }
    });
  }
});

test('bytes are the same through observe, in all cases', async (t) => {
  const application = await rawApplication(t);
  const { inbound, outbound } = await observe(t, application.port);
  for (const one of [...CASES, ...SERVER_FIRST]) {
    const direct = await converse(application.port, application, one);
    for (const port of [inbound.AUTO, outbound.TCP])
      assert.deepEqual(await converse(port, application, one, direct.end), direct, one.name);
  }
});

const SERVER_FIRST: readonly (Conversation & { readonly name: string })[] = [
  {
    name: 'the application speaks first',
    client: [{ after: /ready\r\n/, say: 'x' }],
    application: [{ say: 'ready\r\n' }, { after: /x$/, say: 'ok' }],
    until: /ok$/,
  },
  { name: 'the application closes at once', client: [], application: [{ end: 'close' }] },
  {
    name: 'the caller has said all and still listens',
    client: [{ say: 'x', end: 'close' }],
    application: [{ after: /x$/, say: 'ok', end: 'close' }],
  },
];

test('the application sees the address of Envoy, not of the caller', async (t) => {
  const application = await rawApplication(t);
  const { inbound } = await observe(t, application.port);
  const conversation: Conversation = {
    from: '127.0.0.5',
    client: [{ say: 'x' }],
    application: [{ say: 'ok' }],
    until: /ok$/,
  };
  assert.equal((await converse(application.port, application, conversation)).from, '127.0.0.5');
  assert.equal((await converse(inbound.TCP, application, conversation)).from, '127.0.0.1');
});

test('an application that does not listen: bytes end at once, requests get 503', async (t) => {
  const closed = await freePort();
  const { inbound, outbound } = await observe(t, closed);
  const conversation: Conversation = {
    client: [{ say: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' }],
    application: [],
    until: /failure$/,
  };
  assert.equal((await converse(closed, undefined, conversation)).end, 'refused');
  for (const port of [inbound.TCP, inbound.AUTO, outbound.TCP, outbound.AUTO]) {
    const { client, end } = await converse(port, undefined, conversation);
    assert.equal(client, '');
    assert.match(end, /closed|reset/);
  }
  for (const port of [inbound.HTTP, outbound.HTTP])
    assert.match((await converse(port, undefined, conversation)).client, /^HTTP\/1\.1 503 /);
});

test('an application that resets a connection as soon as it has it: bytes end at once', async (t) => {
  const application = await rawApplication(t);
  const { inbound } = await observe(t, application.port);
  const conversation: Conversation = { client: [], application: [{ end: 'reset' }] };
  assert.equal((await converse(application.port, application, conversation)).end, 'reset');
  assert.match((await converse(inbound.AUTO, application, conversation)).end, /closed|reset/);
});

test('on a port of requests the caller speaks first', async (t) => {
  const application = await rawApplication(t);
  const { inbound } = await observe(t, application.port);
  application.perform([{ say: 'ready' }]);
  const socket = connect(inbound.HTTP, '127.0.0.1');
  t.after(() => socket.destroy());
  let seen = '';
  socket.on('data', (chunk: Buffer) => (seen += chunk.toString()));
  await delay(200);
  assert.deepEqual([seen, application.seen.length], ['', 0]);
  socket.write('no request\r\n\r\n');
  await eventually('what is no request passes as bytes', () => seen === 'ready');
});

test('a service that is called by its name is observed in the same way', async (t) => {
  const application = await rawApplication(t);
  const called = service('named', 'HTTP', { tls: 'plain' });
  const namedUpstreams = [{ serviceHost: called.host, addresses: ['127.240.88.1'], mode: 'observe' as const }];
  const all = mesh([[called, [endpoint('127.0.0.1', application.port)]]]);
  const envoy = await startEnvoy(t, all, host({ callerIdentity: undefined, namedUpstreams }), []);
  const conversation: Conversation = {
    client: [{ say: 'GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n' }],
    application: [{ after: /\r\n\r\n$/, say: 'HTTP/1.1 200 Fine\r\nDate: x\r\nContent-Length: 2\r\n\r\nok' }],
    until: /ok$/,
  };
  const direct = await converse(application.port, application, conversation);
  assert.deepEqual(await converse(SERVICE_PORT, application, { ...conversation, to: '127.240.88.1' }), direct);
  assert.equal(await envoy.stat(`cluster.observe|${SERVICE_PORT}||${called.host};.upstream_rq_2xx`), 1);
});

test('HTTP/2 keeps its headers and trailers', async (t) => {
  const port = await freePort();
  const seen = await http2Application(t, port);
  const { inbound, outbound } = await observe(t, port);
  const direct = await callHttp2(port);
  const through = [await callHttp2(inbound.HTTP2), await callHttp2(outbound.HTTP2), await callHttp2(inbound.HTTP)];
  const [first, ...others] = seen.map(({ headers, url }) => ({ ...headers, url, ':authority': '' }));
  for (const other of others) assert.deepEqual(other, first);
  // The body tells the request's headers, which name the port that was called.
  const plain = ({ status, headers, trailers }: typeof direct): object => ({
    status,
    trailers,
    headers: { ...headers, date: '' },
  });
  for (const answer of through) assert.deepEqual(plain(answer), plain(direct));
});

test('requests, errors and durations are counted; bytes by connection', async (t) => {
  const application = await rawApplication(t);
  const { envoy, inbound } = await observe(t, application.port);
  const answer = (status: string): Conversation => ({
    client: [{ say: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' }],
    application: [{ after: /\r\n\r\n$/, say: `HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\nok` }],
    until: /ok$/,
  });
  for (const status of ['200 OK', '200 OK', '500 No']) await converse(inbound.HTTP, application, answer(status));
  await converse(inbound.AUTO, application, answer('500 No'));
  const requests = `http.inbound_127.0.0.1_${inbound.HTTP};.downstream_rq`;
  assert.equal(await envoy.stat(`${requests}_2xx`), 2);
  assert.equal(await envoy.stat(`${requests}_5xx`), 1);
  // Envoy merges its histograms every five seconds.
  await eventually('durations are there', async () => {
    const timed = await envoy.admin('/stats?format=prometheus&filter=downstream_rq_time');
    assert.match(timed, new RegExp(String.raw`${inbound.HTTP}__downstream_rq_time_count\{[^}]*\} 3\n`));
  });
  const bytes = `inbound|${inbound.AUTO}||;`;
  assert.equal(await envoy.stat(`tcp.${bytes}.downstream_cx_total`), 1);
});

test('what differs is what docs/modes.md lists, and all of it', async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/modes.md'), 'utf8');
  const listed = [...page.matchAll(/^\| \*\*(?<what>[^*]+)\*\*/gm)].map(({ groups }) => groups?.['what'] ?? '');
  const tested = CASES.flatMap(({ differs }) => differs?.because ?? []);
  assert.deepEqual(
    [...new Set(listed)].toSorted(),
    [...new Set([...tested, 'Source address', 'Server speaks first'])].toSorted(),
  );
});
