/** Whether peers would find an application where they are told to go. */
import { connect } from 'node:net';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { SocketAddress } from '../model/host.ts';

/** For a look whether an application listens. */
const CONNECT_TIMEOUT_MS = 1000;

/** A service (`namespace/name`) stays registered as before. */
export function notOpenYet(key: string): Diagnostic {
  return {
    code: 'TRY0105',
    severity: 'warning',
    object: `service ${key}`,
    message: 'it stays registered as before: where peers are to go from now on, nobody listens yet',
    remedy:
      'See that its application runs, in modes off and outbound at the address of application, and that Envoy does.',
  };
}

/** Whether a TCP connection is taken, within a second. Never rejects. */
export async function connects({ address, port }: SocketAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: CONNECT_TIMEOUT_MS });
    const end = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}
