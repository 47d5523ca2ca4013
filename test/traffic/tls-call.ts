/** A caller over TLS that asks for a server name and takes any certificate. */
import { connect } from 'node:tls';

/** What the server says to its end; undefined: the connection was closed without a word, or refused. */
export function tlsCall(port: number, servername: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false, timeout: 30_000 });
    let all = '';
    socket.on('data', (chunk: Buffer) => (all += chunk.toString()));
    socket.once('end', () => resolve(all === '' ? undefined : all));
    socket.once('error', () => resolve(undefined));
    socket.once('timeout', () => socket.destroy(new Error('no answer in 30 s')));
  });
}
