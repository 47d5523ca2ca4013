/**
 * A Unix socket that is open before there is a server: clients that come early wait for it, instead of failing and
 * coming back later. It costs next to nothing to load, unlike the server.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { clearSocketPath, protectSocket } from './unix-socket.ts';

/** More connections than this are not kept waiting; one client takes one. */
const MAX_WAITING = 64;

export class EarlySocket {
  readonly #server: Server;
  readonly #waiting = new Set<Socket>();
  #accept: ((connection: Socket) => void) | undefined;

  private constructor() {
    // Paused: what a client says before there is a server stays in the kernel.
    this.#server = createServer({ pauseOnConnect: true }, (connection) => this.#onConnection(connection));
  }

  /**
   * Opens the socket.
   * @param path in a directory that exists and that the caller keeps private
   * @param mode for this user alone unless said otherwise
   * @throws TrysailError XDS_SOCKET_IN_USE, XDS_SOCKET_PATH, XDS_LISTEN
   */
  static async open(path: string, mode?: number): Promise<EarlySocket> {
    await clearSocketPath(path);
    const socket = new EarlySocket();
    await new Promise<void>((resolve, reject) => {
      socket.#server.once('error', (error) =>
        reject(
          new TrysailError('XDS_LISTEN', `cannot listen on ${path}: ${errorMessage(error)}`, {
            remedy: 'Free the address or choose another.',
            cause: error,
          }),
        ),
      );
      socket.#server.listen(path, resolve);
    });
    await protectSocket(path, mode);
    return socket;
  }

  /** Hands over the connections that wait and all that come from now on. */
  handOver(accept: (connection: Socket) => void): void {
    this.#accept = accept;
    for (const connection of this.#waiting) accept(connection);
    this.#waiting.clear();
  }

  /** Takes no more connections and drops those that nobody has taken over; the path is free afterwards. */
  close(): void {
    this.#server.close();
    for (const connection of this.#waiting) connection.destroy();
    this.#waiting.clear();
  }

  #onConnection(connection: Socket): void {
    if (this.#accept !== undefined) {
      this.#accept(connection);
      return;
    }
    if (this.#waiting.size >= MAX_WAITING) {
      connection.destroy();
      return;
    }
    this.#waiting.add(connection);
    connection.once('close', () => this.#waiting.delete(connection));
    connection.once('error', () => connection.destroy());
  }
}
