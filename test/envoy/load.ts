/** Clients of the four kinds that go on and on, and an application for them; every failed request is kept. */
import { Agent, createServer as createHttpServer, get } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net';
import type { TestContext } from 'node:test';
import { Client, credentials, Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import { sleep } from '../../src/lib/sleep.ts';
import { PATIENCE_MS } from '../support/eventually.ts';

export interface Ports {
  readonly http: number;
  readonly http2: number;
  readonly grpc: number;
  readonly tcp: number;
}

async function listen(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

const same = (bytes: Buffer): Buffer => bytes;

/** An application that answers at once, on a port for each kind. */
export async function startApplication(t: TestContext): Promise<Ports> {
  const http = createHttpServer({ keepAliveTimeout: 0 }, (_, response) => response.end('ok'));
  t.after(() => http.closeAllConnections());
  const http2 = createHttp2Server((_, response) => response.end('ok'));
  const tcp = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  const grpc = new GrpcServer();
  grpc.addService(
    {
      echo: {
        path: '/test.Echo/Echo',
        requestStream: false,
        responseStream: false,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    },
    { echo: (call: { request: Buffer }, answer: (error: null, value: Buffer) => void) => answer(null, call.request) },
  );
  t.after(() => grpc.forceShutdown());
  const grpcPort = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  return {
    http: await listen(t, http),
    http2: await listen(t, http2),
    grpc: grpcPort,
    tcp: await listen(t, tcp),
  };
}

export interface Load {
  /** Answers so far, by kind. */
  readonly counts: Readonly<Record<keyof Ports, number>>;
  readonly failures: readonly string[];
  /** Resolves when each kind has had `more` answers since now. */
  more(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Two clients of each kind against these ports, until stopped. */
export function startLoad(t: TestContext, ports: Ports): Load {
  const stopping = new AbortController();
  const { signal } = stopping;
  const counts: Record<keyof Ports, number> = { http: 0, http2: 0, grpc: 0, tcp: 0 };
  const failures: string[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });

  const http = async (): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      get({ port: ports.http, host: '127.0.0.1', agent, timeout: PATIENCE_MS }, (response) => {
        response.resume();
        response.once('end', () =>
          response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
        );
        response.once('error', reject);
      })
        .once('timeout', () => reject(new Error('timeout')))
        .once('error', reject);
    });
  };

  const sessions = new Map<number, ClientHttp2Session>();
  const http2 = async (index: number): Promise<void> => {
    let session = sessions.get(index);
    if (session === undefined || session.closed || session.destroyed) {
      session = connectHttp2(`http://127.0.0.1:${ports.http2}`);
      // A server that says goodbye gets no new requests.
      session.once('goaway', () => sessions.delete(index));
      session.once('error', () => undefined);
      sessions.set(index, session);
    }
    const stream = session.request({ ':path': '/' });
    await new Promise<void>((resolve, reject) => {
      let status = 0;
      stream.setTimeout(PATIENCE_MS, () => reject(new Error('timeout')));
      stream.once('response', (headers) => (status = Number(headers[':status'])));
      stream.resume();
      stream.once('end', () => (status === 200 ? resolve() : reject(new Error(`status ${status}`))));
      stream.once('error', reject);
    });
  };

  const client = new Client(`127.0.0.1:${ports.grpc}`, credentials.createInsecure());
  const grpc = async (): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      client.makeUnaryRequest(
        '/test.Echo/Echo',
        same,
        same,
        Buffer.from('x'),
        { deadline: Date.now() + PATIENCE_MS },
        (error) => (error === null ? resolve() : reject(error)),
      );
    });
  };

  const tcp = async (): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      const socket = connect(ports.tcp, '127.0.0.1', () => socket.write('x'));
      socket.setTimeout(PATIENCE_MS, () => reject(new Error('timeout')));
      socket.once('data', () => {
        socket.end();
        resolve();
      });
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('closed without an answer')));
    });
  };

  const kinds: Readonly<Record<keyof Ports, (index: number) => Promise<void>>> = { http, http2, grpc, tcp };
  const run = async (kind: keyof Ports, index: number): Promise<void> => {
    while (!signal.aborted) {
      try {
        await kinds[kind](index);
        counts[kind] += 1;
      } catch (error) {
        failures.push(`${kind}: ${String(error)}`);
        await sleep(20, signal);
      }
      await sleep(2, signal);
      // A client that has slept for long learns first that its connection was closed meanwhile, and takes another.
      for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const running = (Object.keys(kinds) as (keyof Ports)[]).flatMap((kind) =>
    [0, 1].map(async (index) => run(kind, index)),
  );
  const stop = async (): Promise<void> => {
    stopping.abort();
    await Promise.all(running);
    agent.destroy();
    client.close();
    for (const session of sessions.values()) session.destroy();
  };
  t.after(stop);
  return {
    counts,
    failures,
    more: async (count) => {
      const from = { ...counts };
      const end = Date.now() + PATIENCE_MS;
      while ((Object.keys(counts) as (keyof Ports)[]).some((kind) => counts[kind] < from[kind] + count)) {
        if (Date.now() > end) throw new Error(`too few answers: ${JSON.stringify(counts)}, ${failures.join('; ')}`);
        await sleep(10);
      }
    },
    stop,
  };
}
