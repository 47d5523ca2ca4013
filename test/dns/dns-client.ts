/** A DNS client of one question a datagram, that shows all of the answer that matters. */
import { createSocket } from 'node:dgram';
import type { TestContext } from 'node:test';

export const TYPE = { A: 1, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, HTTPS: 65, ANY: 255 } as const;

export interface DnsAnswer {
  readonly code: 'NOERROR' | 'FORMERR' | 'SERVFAIL' | 'NXDOMAIN' | 'NOTIMP' | 'REFUSED' | 'OTHER';
  /** Addresses as they are written, with IPv6 in eight groups. */
  readonly addresses: readonly string[];
  readonly ttls: readonly number[];
}

const CODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'] as const;

export function query(id: number, name: string, type: number): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(0x01_00, 2);
  header.writeUInt16BE(1, 4);
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, type, 0, 1])]);
}

function skipName(message: Buffer, at: number): number {
  for (let i = at; ; ) {
    const length = message.readUInt8(i);
    if (length >= 0xc0) return i + 2;
    i += length + 1;
    if (length === 0) return i;
  }
}

export function parse(message: Buffer): DnsAnswer {
  const addresses: string[] = [];
  const ttls: number[] = [];
  let at = 12;
  for (let i = message.readUInt16BE(4); i > 0; i--) at = skipName(message, at) + 4;
  for (let i = message.readUInt16BE(6); i > 0; i--) {
    at = skipName(message, at);
    const length = message.readUInt16BE(at + 8);
    const data = message.subarray(at + 10, at + 10 + length);
    ttls.push(message.readUInt32BE(at + 4));
    if (length === 4) addresses.push([...data].join('.'));
    if (length === 16)
      addresses.push(Array.from({ length: 8 }, (_, g) => data.readUInt16BE(2 * g).toString(16)).join(':'));
    at += 10 + length;
  }
  return { code: CODES[message.readUInt8(3) & 15] ?? 'OTHER', addresses, ttls };
}

export interface DnsClient {
  /** Asks at 127.0.0.1; rejects when no answer comes in `timeoutMs`, 30,000 unless said otherwise. */
  ask(name: string, type: keyof typeof TYPE, timeoutMs?: number): Promise<DnsAnswer>;
}

/** `t` closes its socket. */
export function dnsClient(t: TestContext, port: number): DnsClient {
  const socket = createSocket('udp4');
  const waiting = new Map<number, (message: Buffer) => void>();
  socket.on('message', (message) => waiting.get(message.readUInt16BE(0))?.(message));
  socket.on('error', () => undefined);
  t.after(() => socket.close());
  let id = 0;
  return {
    ask: (name, type, timeoutMs = 30_000) =>
      new Promise((resolve, reject) => {
        id = (id % 65_535) + 1;
        const own = id;
        const timer = setTimeout(() => {
          // An answer that lies in the socket counts, however late this process comes to run.
          setImmediate(() =>
            setImmediate(() => {
              waiting.delete(own);
              reject(new Error(`no answer to ${type} of ${name}`));
            }),
          );
        }, timeoutMs);
        waiting.set(own, (message) => {
          clearTimeout(timer);
          waiting.delete(own);
          resolve(parse(message));
        });
        socket.send(query(own, name, TYPE[type]), port, '127.0.0.1');
      }),
  };
}
