/** Conversations that a direct connection and one through mode `observe` are compared by. */
import type { Conversation, Outcome } from './raw-conversation.ts';

/** What Envoy's HTTP makes of a conversation, where that is not what a direct connection makes. */
export interface Difference {
  /** The heading of docs/modes.md that says so. */
  readonly because: string;
  /** What is seen instead, from what is seen directly; absent: the same. */
  readonly application?: (direct: string) => string | undefined;
  readonly client?: (direct: string) => string;
  readonly end?: Outcome['end'];
  readonly from?: string | undefined;
}

export interface Case extends Conversation {
  readonly name: string;
  /** Absent: none. */
  readonly differs?: Difference;
}

const NOTHING = (): undefined => undefined;
const swap =
  (from: string | RegExp, to: string) =>
  (text: string): string =>
    text.replace(from, to);
const without =
  (...headers: readonly string[]) =>
  (text: string): string =>
    headers.reduce((rest, header) => rest.replace(new RegExp(`${header}: [^\\r]*\\r\\n`, 'i'), ''), text);

const refused = (because: string, answer: string): Difference => ({
  because,
  application: NOTHING,
  client: () => answer,
  end: 'closed',
  from: undefined,
});
const BAD_REQUEST = 'HTTP/1.1 400 Bad Request\r\ndate: <now>\r\nconnection: close\r\ncontent-length: 0\r\n\r\n';
const NOT_A_REQUEST =
  'HTTP/1.1 400 Bad Request\r\ncontent-length: 11\r\ncontent-type: text/plain\r\ndate: <now>\r\nconnection: close\r\n\r\nBad Request';
const localAnswer = (status: string, reason: string): string => {
  const body = `upstream connect error or disconnect/reset before headers. reset reason: ${reason}`;
  return `HTTP/1.1 ${status}\r\ncontent-length: ${body.length}\r\ncontent-type: text/plain\r\ndate: <now>\r\n\r\n${body}`;
};
const NO_ANSWER: Difference = {
  because: 'Failures',
  client: () => localAnswer('503 Service Unavailable', 'connection termination'),
  end: 'open',
};

const OK = 'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nok';
const HEAD = /\r\n\r\n$/;
/** The application's answer whole, or an answer of Envoy's. */
const END = /ok$|\r\nconnection: close\r\n[^]*\r\n\r\n(?:Bad Request)?$|reset reason: [a-z ]+$|404 [^]*\r\n\r\n$/;

function get(name: string, request: string, answer = OK, until = END): Case {
  return { name, client: [{ say: request }], application: [{ after: HEAD, say: answer }], until };
}

export const CASES: readonly Case[] = [
  get('a plain request', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
  get(
    'spelling of header names',
    'GET / HTTP/1.1\r\nHost: a\r\nX-MiXeD-case: 1\r\nSOAPAction: x\r\n\r\n',
    'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nETAG: 1\r\nwww-AUTHENTICATE: x\r\nContent-Length: 2\r\n\r\nok',
  ),
  get(
    'reason phrase',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'HTTP/1.1 299 Fine by me\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nok',
  ),
  get(
    'server, via, request ids and forwarding headers of the caller and the application',
    'GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: 7\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Client-Cert: c\r\nVia: 1.1 x\r\nForwarded: for=1\r\nUser-Agent: u\r\n\r\n',
    'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: s\r\nVia: 1.1 y\r\nX-Request-Id: 8\r\nContent-Length: 2\r\n\r\nok',
  ),
  {
    ...get(
      'headers for an Envoy',
      'GET / HTTP/1.1\r\nHost: a\r\nx-envoy-max-retries: 3\r\nx-envoy-retry-on: 5xx\r\nx-envoy-upstream-rq-timeout-ms: 1\r\nx-envoy-internal: true\r\n\r\n',
    ),
    differs: {
      because: 'Headers that are orders to an Envoy',
      application: without(
        'x-envoy-max-retries',
        'x-envoy-retry-on',
        'x-envoy-upstream-rq-timeout-ms',
        'x-envoy-internal',
      ),
    },
  },
  get(
    'answer of an Envoy',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nx-envoy-upstream-service-time: 3\r\nx-envoy-decorator-operation: a\r\nContent-Length: 2\r\n\r\nok',
  ),
  {
    ...get(
      'repeated and empty headers',
      'GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB:\r\nA: 2\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n',
    ),
    differs: { because: 'Spelling', application: swap('B:\r\n', 'B: \r\n') },
  },
  get(
    'many headers',
    `GET / HTTP/1.1\r\nHost: a\r\n${Array.from({ length: 300 }, (_, i) => `H${i}: ${i}\r\n`).join('')}\r\n`,
  ),
  get('long headers', `GET / HTTP/1.1\r\nHost: a\r\nLong: ${'x'.repeat(200_000)}\r\n\r\n`),
  get(
    'an answer with many headers',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    `HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n${Array.from({ length: 300 }, (_, i) => `H${i}: ${i}\r\n`).join('')}Content-Length: 2\r\n\r\nok`,
  ),
  {
    ...get(
      'an answer with long headers',
      'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      `HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nLong: ${'x'.repeat(100_000)}\r\nContent-Length: 2\r\n\r\nok`,
    ),
    differs: {
      because: 'Very long response headers',
      client: () => localAnswer('502 Bad Gateway', 'protocol error'),
      end: 'open',
    },
  },
  {
    ...get(
      'an answer without a date',
      'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    ),
    differs: { because: 'Date', client: swap('2\r\n\r\n', '2\r\ndate: <now>\r\n\r\n') },
  },
  get('underscores', 'GET / HTTP/1.1\r\nHost: a\r\nA_b: 1\r\n\r\n'),
  get('bytes beyond ASCII', 'GET / HTTP/1.1\r\nHost: a\r\nA: \xe9\r\n\r\n'),
  {
    ...get('folded header', 'GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\n 2\r\n\r\n'),
    differs: { because: 'Spelling', application: swap('1\r\n 2', '1 2') },
  },
  get('path with dots, slashes and escapes', 'GET //a/./b/../c%2fd%2e%5c?q=a//b&%41 HTTP/1.1\r\nHost: a\r\n\r\n'),
  {
    ...get('path with a fragment', 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n'),
    differs: refused('Requests that are not well formed', BAD_REQUEST),
  },
  {
    ...get('absolute target', 'GET http://b:81/x HTTP/1.1\r\nHost: b:81\r\n\r\n'),
    differs: { because: 'Absolute targets', application: swap('http://b:81', '') },
  },
  {
    ...get('OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'),
    differs: {
      because: 'Requests that are not well formed',
      application: NOTHING,
      client: () => 'HTTP/1.1 404 Not Found\r\ndate: <now>\r\ncontent-length: 0\r\n\r\n',
      from: undefined,
    },
  },
  {
    ...get('a method of its own', 'BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n'),
    differs: refused('Requests that are not well formed', NOT_A_REQUEST),
  },
  get('host with a port and a final dot', 'GET / HTTP/1.1\r\nHost: A.example.:8080\r\n\r\n'),
  {
    ...get('HTTP/1.1 without a host', 'GET / HTTP/1.1\r\n\r\n'),
    differs: refused('Requests that are not well formed', BAD_REQUEST),
  },
  get('HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n'),
  {
    name: 'HTTP/1.0 answered by HTTP/1.0 and the end of the connection',
    client: [{ say: 'GET / HTTP/1.0\r\nHost: a\r\n\r\n' }],
    application: [
      { after: HEAD, say: 'HTTP/1.0 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nok', end: 'close' },
    ],
  },
  get('HTTP/1.0 without a host', 'GET / HTTP/1.0\r\n\r\n'),
  get(
    'HTTP/1.0 kept alive',
    'GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n',
    'HTTP/1.0 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok',
  ),
  {
    ...get(
      'Connection: keep-alive',
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n',
    ),
    differs: { because: 'Headers of one hop', application: without('Connection', 'Keep-Alive') },
  },
  {
    ...get(
      'an answer with Connection: keep-alive',
      'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok',
    ),
    differs: { because: 'Headers of one hop', client: without('Connection', 'Keep-Alive') },
  },
  {
    name: 'Connection: close asked for by the caller',
    differs: {
      because: 'Headers of one hop',
      application: without('Connection'),
      client: swap(/Connection: close\r\nContent-Length: 2/, 'Content-Length: 2\r\nConnection: close'),
    },
    client: [{ say: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' }],
    application: [
      {
        after: HEAD,
        say: 'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
        end: 'close',
      },
    ],
  },
  {
    name: 'Connection: close said by the application',
    differs: { because: 'Headers of one hop', client: without('Connection'), end: 'open' },
    client: [{ say: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' }],
    application: [
      {
        after: HEAD,
        say: 'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
        end: 'close',
      },
    ],
    until: END,
  },
  {
    name: 'a body that ends with the connection',
    differs: {
      because: 'Bodies that end with the connection',
      client: swap('\r\n\r\nok', '\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
      end: 'open',
    },
    client: [{ say: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' }],
    application: [
      { after: HEAD, say: 'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nok', end: 'close' },
    ],
    until: /\r\n0\r\n\r\n$/,
  },
  {
    ...get(
      'hop-by-hop headers named by Connection',
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop\r\nX-Hop: 1\r\nTE: gzip\r\nProxy-Connection: keep-alive\r\n\r\n',
    ),
    differs: { because: 'Headers of one hop', application: without('Connection', 'X-Hop', 'TE', 'Proxy-Connection') },
  },
  get('TE: trailers', 'GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n'),
  {
    name: 'body with a length',
    client: [{ say: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody' }],
    application: [{ after: /body$/, say: OK }],
    until: END,
  },
  {
    name: 'body in chunks, with extensions and trailers',
    differs: {
      because: 'Spelling',
      application: (text) =>
        text
          .replace(/Transfer-Encoding: chunked\r\nTrailer: T/, 'Trailer: T\r\nTransfer-Encoding: chunked')
          .replace('T: 1', 't: 1'),
    },
    client: [
      {
        say: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n4\r\nbody\r\n0\r\nT: 1\r\n\r\n',
      },
    ],
    application: [{ after: /0\r\nT: 1\r\n\r\n$/i, say: OK }],
    until: END,
  },
  {
    name: 'chunk extensions',
    differs: { because: 'Spelling', application: swap(';x=y', '') },
    client: [{ say: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\n\r\n' }],
    application: [{ after: /0\r\n\r\n$/, say: OK }],
    until: END,
  },
  {
    name: 'answer in chunks with trailers',
    differs: {
      because: 'Spelling',
      client: (text) =>
        text
          .replace(/Transfer-Encoding: chunked\r\nTrailer: T/, 'Trailer: T\r\nTransfer-Encoding: chunked')
          .replace('T: 1', 't: 1'),
    },
    client: [{ say: 'GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n' }],
    application: [
      {
        after: HEAD,
        say: 'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2\r\nok\r\n0\r\nT: 1\r\n\r\n',
      },
    ],
    until: /T: 1\r\n\r\n$/i,
  },
  {
    name: 'both a length and chunks',
    differs: { because: 'Spelling', application: without('Content-Length') },
    client: [
      {
        say: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
      },
    ],
    application: [{ after: /0\r\n\r\n$/, say: OK }],
    until: END,
  },
  {
    name: 'Expect: 100-continue',
    client: [
      { say: 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n' },
      { after: /100 Continue\r\n\r\n/, say: 'body' },
    ],
    application: [
      { after: HEAD, say: 'HTTP/1.1 100 Continue\r\n\r\n' },
      { after: /body$/, say: OK },
    ],
    until: END,
  },
  {
    name: 'Expect: 100-continue refused',
    differs: {
      because: 'Headers of one hop',
      client: swap('2\r\n\r\n', '2\r\nconnection: close\r\n\r\n'),
    },
    client: [{ say: 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n' }],
    application: [
      {
        after: HEAD,
        say: 'HTTP/1.1 417 No\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nok',
        end: 'close',
      },
    ],
    until: END,
  },
  get('103 Early Hints', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`),
  get(
    'HEAD',
    'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
    'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 200\r\n\r\n',
    HEAD,
  ),
  get(
    '204',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n',
    HEAD,
  ),
  get(
    '304 with a length',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'HTTP/1.1 304 Not Modified\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 200\r\n\r\n',
    HEAD,
  ),
  {
    name: 'websocket',
    client: [
      {
        say: 'GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n',
      },
      { after: /101[^]*\r\n\r\n/, say: '\x81\x02hi' },
    ],
    application: [
      {
        after: HEAD,
        say: 'HTTP/1.1 101 Switching Protocols\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
      },
      { after: /hi$/, say: '\x81\x02ok' },
    ],
    until: END,
  },
  {
    ...get(
      'an upgrade that the application ignores',
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n',
    ),
    differs: { because: 'Upgrades', application: without('Connection', 'Upgrade', 'HTTP2-Settings') },
  },
  {
    ...get('an upgrade of its own', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: mine\r\n\r\n'),
    differs: refused('Upgrades', BAD_REQUEST.replace('400 Bad Request', '403 Forbidden')),
  },
  {
    name: 'CONNECT',
    client: [{ say: 'CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n' }, { after: HEAD, say: 'hi' }],
    application: [
      { after: HEAD, say: 'HTTP/1.1 200 Established\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n' },
      { after: /hi$/, say: 'ok' },
    ],
    until: END,
  },
  {
    name: 'two requests at once',
    client: [{ say: 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n' }],
    application: [
      { after: /\/1[^]*\r\n\r\n/, say: OK },
      { after: /\/2[^]*\r\n\r\n/, say: OK },
    ],
    until: /ok[^]*ok$/,
  },
  {
    name: 'two requests on one connection',
    client: [
      { say: 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n' },
      { after: /ok$/, say: 'GET /2 HTTP/1.1\r\nHost: a\r\n\r\n' },
    ],
    application: [
      { after: /\/1[^]*\r\n\r\n/, say: OK },
      { after: /\/2[^]*\r\n\r\n/, say: OK },
    ],
    until: /ok[^]*ok$/,
  },
  {
    name: 'application closes without an answer',
    differs: NO_ANSWER,
    client: [{ say: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' }],
    application: [{ after: HEAD, end: 'close' }],
    until: /reset reason: [a-z ]+$/,
  },
  {
    name: 'application resets without an answer',
    differs: NO_ANSWER,
    client: [{ say: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' }],
    application: [{ after: HEAD, end: 'reset' }],
    until: /reset reason: [a-z ]+$/,
  },
  {
    name: 'application closes in the middle of its answer',
    client: [{ say: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' }],
    application: [
      {
        after: HEAD,
        say: 'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 20\r\n\r\nok',
        end: 'close',
      },
    ],
  },
  {
    name: 'application answers before the body is there, and closes',
    differs: {
      because: 'Headers of one hop',
      client: swap(/Connection: close\r\nContent-Length: 2/, 'Content-Length: 2\r\nConnection: close'),
    },
    client: [{ say: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nbo' }],
    application: [
      {
        after: /bo$/,
        say: 'HTTP/1.1 413 No\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
        end: 'close',
      },
    ],
  },
  get('no HTTP at all', 'hello\r\n\r\n', 'ok'),
  get('TLS', '\x16\x03\x01\x00\x05hello\r\n\r\n', 'ok'),
  {
    ...get('a broken answer', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'nonsense\r\n\r\nok'),
    differs: { because: 'Failures', client: () => localAnswer('502 Bad Gateway', 'protocol error') },
  },
  {
    ...get('a bad header', 'GET / HTTP/1.1\r\nHost: a\r\nbad header: 1\r\n\r\n'),
    differs: refused('Requests that are not well formed', NOT_A_REQUEST),
  },
];
