/**
 * Ports for programs that cannot be told to pick one themselves. They come from blocks below the kernel's own range, and a
 * block belongs to one process at a time: neither an outgoing connection, nor a server on port 0, nor another test file can
 * take a port between its choice and its use. (Envoy binds with SO_REUSEPORT: two of them on one port would share it silently.)
 */
import { createSocket } from 'node:dgram';
import { createServer, isIPv6 } from 'node:net';

const FIRST = 20_000;
const BLOCK_SIZE = 100;
const BLOCKS = 127;

interface Block {
  next: number;
  readonly end: number;
}

/** Whether this process now holds the name: an abstract socket, which the kernel drops with the process. */
function hold(name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(`\0${name}`, () => resolve(true));
    server.unref();
  });
}

async function claimBlock(): Promise<Block> {
  const start = Math.floor(Math.random() * BLOCKS);
  for (let i = 0; i < BLOCKS; i++) {
    const at = (start + i) % BLOCKS;
    const next = FIRST + at * BLOCK_SIZE;
    if (await hold(`trysail-test-ports-${at}`)) return { next, end: next + BLOCK_SIZE };
  }
  throw new Error(`all ${BLOCKS} blocks of ports are held by other test processes`);
}

let current: Promise<Block> | undefined;

/** A port that this process has not been given before. */
async function takePort(): Promise<number> {
  for (;;) {
    current ??= claimBlock();
    const from = current;
    const block = await from;
    if (block.next < block.end) return block.next++;
    if (current === from) current = undefined;
  }
}

const inUse = (error: NodeJS.ErrnoException): false => {
  if (error.code === 'EADDRINUSE') return false;
  throw error;
};

function tcpFree(port: number, address: string): Promise<boolean> {
  return new Promise<boolean>((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, address, () => {
      server.close(() => resolve(true));
    });
  }).catch(inUse);
}

function udpFree(port: number, address: string): Promise<boolean> {
  return new Promise<boolean>((resolve, reject) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    socket.once('error', reject);
    socket.bind(port, address, () => {
      socket.close(() => resolve(true));
    });
  }).catch(inUse);
}

/** A port of `address` that is free, TCP and UDP, and that nobody else is given while this process lives. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = await takePort();
    if ((await tcpFree(port, address)) && (await udpFree(port, address))) return port;
  }
}

/** `count` of them, all different. */
export async function freePorts(count: number, address = '127.0.0.1'): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort(address));
  return ports;
}
