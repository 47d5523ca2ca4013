/** Applications for behaviour tests: they tell what reached them. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import { connect, createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTcpServer, connect as tcpConnect } from 'node:net';
import type { TestContext } from 'node:test';
import { listen } from '../support/listen.ts';

export interface Seen {
  readonly httpVersion: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function describe(name: string, seen: Seen): string {
  return JSON.stringify({ name, ...seen });
}

/** Answers each request with its name and what it saw, with the status that `x-status` asks for; echoes websockets. */
export async function httpApplication(t: TestContext, port: number, name = 'app'): Promise<readonly Seen[]> {
  const all: Seen[] = [];
  // Node would close what Envoy has not used for some seconds, perhaps in the moment in which Envoy uses it again.
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => {
    const seen = { httpVersion: incoming.httpVersion, url: incoming.url ?? '', headers: incoming.headers };
    all.push(seen);
    outgoing.writeHead(Number(incoming.headers['x-status'] ?? 200), { 'x-app': name });
    outgoing.end(describe(name, seen));
  });
  server.on('upgrade', (incoming, socket) => {
    all.push({ httpVersion: incoming.httpVersion, url: incoming.url ?? '', headers: incoming.headers });
    const key = String(incoming.headers['sec-websocket-key']);
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
    );
    socket.pipe(socket);
    socket.on('error', () => socket.destroy());
  });
  await listen(t, server, port);
  return all;
}

/** The same over HTTP/2 with prior knowledge; answers end with a gRPC trailer. */
export async function http2Application(t: TestContext, port: number, name = 'app'): Promise<readonly Seen[]> {
  const all: Seen[] = [];
  const server = createHttp2Server();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const seen = { httpVersion: '2.0', url: String(headers[':path']), headers };
    all.push(seen);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'x-app': name }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(describe(name, seen));
  });
  await listen(t, server, port);
  return all;
}

/** Answers every chunk with its name and the chunk. */
export async function tcpApplication(t: TestContext, port: number, name = 'app'): Promise<readonly string[]> {
  const all: string[] = [];
  const server = createTcpServer((socket) => {
    socket.on('data', (chunk: Buffer) => {
      all.push(chunk.toString('latin1'));
      socket.write(`${name}:${chunk.toString('latin1')}`);
    });
  });
  await listen(t, server, port);
  return all;
}

export function call(
  port: number,
  options: { readonly path?: string; readonly headers?: Record<string, string>; readonly host?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: options.host ?? '127.0.0.1',
        port,
        path: options.path ?? '/',
        headers: options.headers ?? {},
        agent: false,
        timeout: 30_000,
      },
      (incoming) => {
        let body = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => (body += chunk));
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }));
      },
    );
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in 30 s')));
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** One request over HTTP/2 with prior knowledge, with its trailers. */
export async function callHttp2(port: number): Promise<Answer & { readonly trailers: Record<string, unknown> }> {
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    return await new Promise((resolve, reject) => {
      session.once('error', reject);
      const stream = session.request({
        ':path': '/x',
        ':method': 'POST',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      let status = 0;
      let headers: IncomingHttpHeaders = {};
      let trailers: Record<string, unknown> = {};
      let body = '';
      stream.setEncoding('utf8');
      stream.once('response', (received) => {
        status = Number(received[':status']);
        headers = received;
      });
      stream.on('trailers', (received) => (trailers = { ...received }));
      stream.on('data', (chunk: string) => (body += chunk));
      stream.once('end', () => resolve({ status, headers, body, trailers }));
      stream.once('error', reject);
      stream.end('x');
    });
  } finally {
    session.destroy();
  }
}

/** Sends `text` and returns the first answer; undefined when the connection ended without one. */
export function exchange(port: number, text: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = tcpConnect(port, '127.0.0.1', () => socket.write(text));
    socket.setTimeout(30_000, () => {
      socket.destroy();
      reject(new Error('no answer in 30 s'));
    });
    socket.once('data', (chunk: Buffer) => {
      socket.destroy();
      resolve(chunk.toString('latin1'));
    });
    socket.once('error', () => resolve(undefined));
    socket.once('close', () => resolve(undefined));
  });
}
