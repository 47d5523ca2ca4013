/** Servers outside of the mesh that speak TLS, or whatever else a test wants to see the bytes of. */
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { TLSSocket, TlsOptions } from 'node:tls';

async function listen(
  t: TestContext,
  server: Pick<Server, 'on' | 'once' | 'listen' | 'close' | 'address'>,
): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Answers requests over TLS with the server name that was asked for and the name in the client's certificate. */
export function tlsServer(t: TestContext, options: TlsOptions): Promise<number> {
  const server = createHttpsServer(options, (incoming, outgoing) => {
    const socket = incoming.socket as TLSSocket;
    const { subjectaltname = '' } = socket.getPeerCertificate();
    // The next request needs a connection, and a handshake, of its own.
    outgoing.setHeader('connection', 'close');
    outgoing.end(JSON.stringify({ sni: socket.servername, client: subjectaltname }));
  });
  server.on('tlsClientError', () => undefined);
  return listen(t, server);
}

/** Gives every connection to `serve`. */
export function byteServer(t: TestContext, serve: (socket: Socket) => void): Promise<number> {
  return listen(t, createServer(serve));
}
