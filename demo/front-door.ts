/** A door from this computer's loopback into the productpage's machine, for browsers and curl. */
import { connect, createServer, type Server } from 'node:net';

const PREFERRED_PORT = 9080;

export interface FrontDoor {
  readonly url: string;
  close(): Promise<void>;
}

/** Forwards connections at 127.0.0.1, port 9080 or any free one, to a Unix socket. */
export async function openFrontDoor(socketPath: string): Promise<FrontDoor> {
  const server = createServer((visitor) => {
    const inside = connect(socketPath);
    visitor.pipe(inside).pipe(visitor);
    visitor.on('error', () => inside.destroy());
    inside.on('error', () => visitor.destroy());
  });
  const port = (await listen(server, PREFERRED_PORT)) ?? (await listen(server, 0)) ?? 0;
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.close();
    },
  };
}

async function listen(server: Server, port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const refused = (): void => resolve(undefined);
    server.once('error', refused);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', refused);
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : undefined);
    });
  });
}
