/**
 * The certificate that a mesh port really shows: `tls-serial.ts HOST PORT` prints its serial number (hexadecimal). The
 * caller has no certificate of its own, so the connection goes no further than the handshake.
 */
import { connect } from 'node:tls';

const [host = '', port = '0'] = process.argv.slice(2);

const socket = connect({
  host,
  port: Number(port),
  // What mesh clients offer, by which the listener knows one.
  ALPNProtocols: ['istio-http/1.1', 'istio', 'http/1.1'],
  // Only looked at, not trusted.
  rejectUnauthorized: false,
  timeout: 5000,
});
socket.once('secureConnect', () => {
  process.stdout.write(socket.getPeerCertificate().serialNumber);
  process.exit(0);
});
socket.once('timeout', () => socket.destroy(new Error('no handshake within 5 s')));
socket.once('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
