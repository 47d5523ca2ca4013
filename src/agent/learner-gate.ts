/**
 * The agent's side of Envoy's proxy listener: asked for the Host of a request that Envoy does not know, it answers when
 * the service is there. HTTP on a Unix socket, as Envoy's external authorisation speaks it.
 */
import { createServer, type Server } from 'node:http';
import { clearSocketPath, protectSocket } from '../xds/unix-socket.ts';
import type { Learnt } from './learner.ts';

const MAX_CONNECTIONS = 128;

/** `reviews.default.mesh` of `reviews.default.mesh:9080`. */
function nameOf(host: string | undefined): string {
  return (host ?? '').replace(/:\d+$/, '').replace(/\.$/, '');
}

export class LearnerGate {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Opens the socket.
   * @param mode who may connect; undefined: this user alone
   * @throws TrysailError XDS_SOCKET_IN_USE, XDS_SOCKET_PATH
   */
  static async open(
    path: string,
    mode: number | undefined,
    learn: (name: string) => Promise<Learnt>,
  ): Promise<LearnerGate> {
    await clearSocketPath(path);
    const server = createServer((request, response) => {
      request.resume();
      const answer = ({ outcome }: Pick<Learnt, 'outcome'>): void => {
        // Whoever asks for a name that nobody has is let pass as well: the routes tell them.
        response.writeHead(outcome === 'failed' ? 503 : 200, { 'content-length': 0 });
        response.end();
      };
      learn(nameOf(request.headers.host)).then(answer, () => answer({ outcome: 'failed' }));
    });
    server.maxConnections = MAX_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    // Such as no free file descriptor for one more connection: the others are served.
    server.on('error', () => undefined);
    await protectSocket(path, mode);
    return new LearnerGate(server);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
