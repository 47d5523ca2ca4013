/** Requests and bytes over TLS, as a client outside of the mesh makes them. */
import type { IncomingHttpHeaders } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { connect, type PeerCertificate } from 'node:tls';
import type { KeyPairPem } from '../translate/certificates.ts';

export interface TlsCall {
  /** The server name that is asked for. */
  readonly serverName: string;
  readonly ca: string;
  readonly client?: KeyPairPem | undefined;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** Whether the certificate must bear `serverName`; default true. */
  readonly checkName?: boolean;
  /** Default 127.0.0.1. */
  readonly address?: string;
}

export interface TlsAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The serial number of the server's certificate. */
  readonly serial: string;
}

function tlsOptions({ serverName, ca, client, maxVersion, checkName = true }: TlsCall) {
  return {
    servername: serverName,
    ca,
    ...(!checkName && { checkServerIdentity: () => undefined }),
    ...(client !== undefined && { cert: client.certificateChainPem, key: client.privateKeyPem }),
    ...(maxVersion !== undefined && { maxVersion }),
  };
}

/** One request over HTTP/1.1. Rejects when the handshake fails, or a client's certificate is refused. */
export function callTls(port: number, call: TlsCall): Promise<TlsAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: call.address ?? '127.0.0.1',
        port,
        path: call.path ?? '/',
        headers: { host: call.serverName, ...call.headers },
        agent: false,
        timeout: 30_000,
        ...tlsOptions(call),
      },
      (incoming) => {
        const socket = incoming.socket as unknown as { getPeerCertificate(): PeerCertificate };
        const serial = socket.getPeerCertificate().serialNumber;
        let body = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => (body += chunk));
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body, serial }),
        );
      },
    );
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in 30 s')));
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** One request over HTTP/2, which the server has to choose. */
export async function callTlsHttp2(
  port: number,
  call: TlsCall,
): Promise<{ readonly status: number; readonly body: string }> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ...tlsOptions(call), ALPNProtocols: ['h2'] });
  try {
    return await new Promise((resolve, reject) => {
      session.once('error', reject);
      const stream = session.request({ ':path': call.path ?? '/', ':authority': call.serverName });
      let status = 0;
      let body = '';
      stream.setEncoding('utf8');
      stream.once('response', (headers) => (status = Number(headers[':status'])));
      stream.on('data', (chunk: string) => (body += chunk));
      stream.once('end', () => resolve({ status, body }));
      stream.once('error', reject);
      stream.end();
    });
  } finally {
    session.destroy();
  }
}

/** Sends text over TLS and returns the first answer. Rejects when the handshake fails or nothing comes back. */
export function exchangeTls(port: number, call: TlsCall, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ...tlsOptions(call) }, () => socket.write(text));
    socket.setTimeout(30_000, () => socket.destroy(new Error('no answer in 30 s')));
    socket.once('data', (chunk: Buffer) => {
      socket.destroy();
      resolve(chunk.toString('latin1'));
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed without an answer')));
  });
}
