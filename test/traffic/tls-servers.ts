/** Servers outside of the mesh that speak TLS, or whatever else a test wants to see the bytes of. */
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { TLSSocket, TlsOptions } from 'node:tls';
import { listen } from '../support/listen.ts';

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
