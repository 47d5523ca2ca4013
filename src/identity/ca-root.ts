/** First contact: finding the root that a join token's fingerprint is of, before anything is trusted or told. */

import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { DetailedPeerCertificate } from 'node:tls';
import { connect } from 'node:tls';
import { formatDuration } from '../lib/duration.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { type CaAddress, formatCaAddress } from './ca-address.ts';
import { sha256Hex } from './certificate.ts';

const MAX_CHAIN = 10;

/** Connected, and no TLS in time. */
class HandshakeTimeout extends Error {}

function chainOf(leaf: DetailedPeerCertificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  for (let current = leaf; chain.length < MAX_CHAIN; current = current.issuerCertificate) {
    chain.push(current.raw);
    // Node marks the end of a chain by a certificate that is its own issuer, or by none.
    if (current.issuerCertificate === undefined || current.issuerCertificate === current) break;
  }
  return chain;
}

/**
 * The PEM of the root with this SHA-256 fingerprint from the server's handshake. Nothing is sent.
 * Throws CA_UNREACHABLE, CA_BUSY when the server takes the connection and no more, or CA_ROOT_MISMATCH, which names the fingerprint wanted and the ones seen.
 */
export async function fetchPinnedRoot(
  address: CaAddress,
  fingerprint: string,
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<string> {
  const chain = await new Promise<readonly Buffer[]>((resolve, reject) => {
    const socket = connect({
      host: address.host,
      port: address.port,
      ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
      ALPNProtocols: ['h2'],
      // The fingerprint decides below; only the public handshake is read until then.
      rejectUnauthorized: false,
      timeout: options.timeoutMs,
    });
    const late = (): void => {
      // On a busy host time can be up before the kernel was asked what has come of the connection.
      setImmediate(() => {
        // Whoever takes connections and has no time for them: many hosts come at once, say.
        socket.destroy(socket.connecting ? new Error('timed out') : new HandshakeTimeout());
      });
    };
    const overall = setTimeout(late, options.timeoutMs);
    const abort = (): void => {
      socket.destroy(new Error('stopped'));
    };
    options.signal.addEventListener('abort', abort, { once: true });
    socket.once('timeout', late);
    socket.once('secureConnect', () => {
      resolve(chainOf(socket.getPeerCertificate(true)));
      socket.end();
    });
    socket.once('error', reject);
    socket.once('close', () => {
      clearTimeout(overall);
      options.signal.removeEventListener('abort', abort);
      reject(new Error('the connection was closed during the handshake'));
    });
  }).catch((cause: unknown) => {
    if (cause instanceof HandshakeTimeout)
      throw new TrysailError(
        'CA_BUSY',
        `the CA at ${formatCaAddress(address)} has no time for this host: no TLS handshake within ${formatDuration(options.timeoutMs)}`,
        {
          cause,
          remedy:
            'Try again later. If it goes on, see to the load of the CA and the network, and that a CA listens there.',
        },
      );
    throw new TrysailError(
      'CA_UNREACHABLE',
      `no TLS handshake with the CA at ${formatCaAddress(address)}: ${errorMessage(cause)}`,
      {
        cause,
        remedy:
          'Check that the CA runs, its address in identity.ca.address or the token, and the firewalls in between.',
      },
    );
  });
  const root = chain.find((der) => sha256Hex(der) === fingerprint);
  if (root !== undefined) return new X509Certificate(root).toString();
  const last = chain.at(-1);
  throw new TrysailError(
    'CA_ROOT_MISMATCH',
    `the server at ${formatCaAddress(address)} is not the CA of the join token: the token's root has the SHA-256 ` +
      `fingerprint ${fingerprint}, the server's chain ends in ${last === undefined ? 'nothing' : sha256Hex(last)}`,
    {
      remedy:
        'Nothing was sent. Check the address; if it is right, somebody intercepts the connection, or the CA was made anew.',
    },
  );
}
