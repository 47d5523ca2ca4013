/** Servers of tests: on loopback, and gone with all of their connections when the test ends. */
import type { AddressInfo, Server, Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** Listens on 127.0.0.1 until `t` ends. Returns the port. @param port 0: any that is free */
export async function listen(
  t: TestContext,
  server: Pick<Server, 'on' | 'once' | 'listen' | 'close' | 'address'>,
  port = 0,
): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return (server.address() as AddressInfo).port;
}
