/** Ports for programs that cannot be told to pick one themselves. */
import { createServer } from 'node:net';

/** `count` TCP ports on `address` that were free a moment ago, all different. */
export async function freePorts(count: number, address = '127.0.0.1'): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(0, address, resolve);
      });
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const bound = server.address();
      await new Promise((resolve) => {
        server.close(resolve);
      });
      if (bound === null || typeof bound === 'string') throw new Error('not a TCP server');
      return bound.port;
    }),
  );
}

export async function freePort(address = '127.0.0.1'): Promise<number> {
  const [port = 0] = await freePorts(1, address);
  return port;
}
