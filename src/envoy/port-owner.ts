/**
 * Who listens on a port. Two Envoys with SO_REUSEPORT share a port without any error and each gets half of the
 * connections, so a port is looked up before it goes into a listener.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { commandLine } from './process-identity.ts';

export interface PortOwner {
  /** Where it listens: an address, or `0.0.0.0` or `::` for all. */
  readonly address: string;
  readonly port: number;
  readonly uid: number;
  /** Undefined when the process belongs to another user, whose open files are hidden from us. */
  readonly pid: number | undefined;
  /** The program's path or name. */
  readonly program: string | undefined;
}

const LISTEN = '0A';

/** `0100007F` → `127.0.0.1`: words of four bytes in the byte order of the machine, which is little-endian on all that we support. */
function parseAddress(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) =>
    (word.match(/../g) ?? []).toReversed().map((byte) => Number.parseInt(byte, 16)),
  );
  if (bytes.length === 4) return bytes.join('.');
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  if (mapped) return bytes.slice(12).join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  // The URL parser writes the canonical short form.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

function canonical(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

interface Socket {
  readonly address: string;
  readonly uid: number;
  readonly inode: string;
}

function listeningSockets(port: number): readonly Socket[] {
  const sockets: Socket[] = [];
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch {
      continue;
    }
    for (const line of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , uid = '0', , inode = ''] = line.trim().split(/\s+/);
      const [address = '', portHex = ''] = local.split(':');
      if (state === LISTEN && Number.parseInt(portHex, 16) === port)
        sockets.push({ address: parseAddress(address), uid: Number(uid), inode });
    }
  }
  return sockets;
}

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::';

/** Whether two listening addresses exclude each other on the same port. */
function overlap(a: string, b: string): boolean {
  if (a === b || a === '::' || b === '::') return true;
  return (isAny(a) || isAny(b)) && a.includes(':') === b.includes(':');
}

function pidOfSocket(inode: string): number | undefined {
  const wanted = `socket:[${inode}]`;
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`))
        if (readlinkSync(`/proc/${pid}/fd/${fd}`) === wanted) return Number(pid);
    } catch {
      // Another user's process, or one that has just ended.
    }
  }
  return undefined;
}

/**
 * The process that listens on a TCP port of this network namespace in a way that excludes (or silently shares with) a
 * listener at `address`; undefined when the port is free.
 */
export function portOwner(address: string, port: number): PortOwner | undefined {
  const wanted = canonical(address);
  const socket = listeningSockets(port).find((candidate) => overlap(candidate.address, wanted));
  if (socket === undefined) return undefined;
  const pid = pidOfSocket(socket.inode);
  return {
    address: socket.address,
    port,
    uid: socket.uid,
    pid,
    program: pid === undefined ? undefined : commandLine(pid)[0],
  };
}

/** Such as `nginx (pid 812)` or `a process of user 33`. */
export function describeOwner(owner: PortOwner): string {
  return owner.pid === undefined
    ? `a process of user ${owner.uid}`
    : `${owner.program ?? 'a process'} (pid ${owner.pid})`;
}
