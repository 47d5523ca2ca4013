/**
 * Who listens on a port. Two Envoys with SO_REUSEPORT share a port without any error and each gets half of the
 * connections, so a port is looked up before it goes into a listener.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
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

/** The kernel's tables of TCP sockets in this network namespace. Reading one takes it some 10 ms. */
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'] as const;

function readTable(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Every listening TCP socket of this network namespace, by port. */
function listeningSockets(tables: readonly string[]): ReadonlyMap<number, readonly Socket[]> {
  const byPort = new Map<number, Socket[]>();
  for (const text of tables) {
    for (const line of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , uid = '0', , inode = ''] = line.trim().split(/\s+/);
      if (state !== LISTEN) continue;
      const [address = '', portHex = ''] = local.split(':');
      const port = Number.parseInt(portHex, 16);
      const sockets = byPort.get(port) ?? [];
      sockets.push({ address: parseAddress(address), uid: Number(uid), inode });
      byPort.set(port, sockets);
    }
  }
  return byPort;
}

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::';

/** Whether two listening addresses exclude each other on the same port. */
function overlap(a: string, b: string): boolean {
  if (a === b || a === '::' || b === '::') return true;
  return (isAny(a) || isAny(b)) && a.includes(':') === b.includes(':');
}

/** The inodes of the sockets that a process has open; empty when they are hidden from us. */
function socketsOf(pid: number | string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

function pidOfSocket(inode: string): number | undefined {
  const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && socketsOf(name).includes(inode));
  return pid === undefined ? undefined : Number(pid);
}

/** Who listens where, as it was when this was made: many questions cost one look. */
export class ListeningPorts {
  readonly #sockets: ReadonlyMap<number, readonly Socket[]>;
  readonly #own: ReadonlySet<string>;

  private constructor(tables: readonly string[], ownPid: number | undefined) {
    this.#sockets = listeningSockets(tables);
    this.#own = new Set(ownPid === undefined ? [] : socketsOf(ownPid));
  }

  /** @param ownPid a process whose listeners do not count, such as our Envoy */
  static look(ownPid?: number): ListeningPorts {
    return new ListeningPorts(TABLES.map(readTable), ownPid);
  }

  /** The same, without holding up the event loop. */
  static async lookAside(ownPid?: number): Promise<ListeningPorts> {
    const tables = await Promise.all(TABLES.map(async (file) => readFile(file, 'utf8').catch(() => '')));
    return new ListeningPorts(tables, ownPid);
  }

  /**
   * The process that listens on a TCP port of this network namespace in a way that excludes (or silently shares with) a
   * listener at `address`; undefined when the port is free.
   */
  owner(address: string, port: number): PortOwner | undefined {
    const wanted = canonical(address);
    const socket = this.#sockets
      .get(port)
      ?.find((candidate) => overlap(candidate.address, wanted) && !this.#own.has(candidate.inode));
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
}

/** The owner of one port; see `ListeningPorts.owner`. */
export function portOwner(address: string, port: number): PortOwner | undefined {
  return ListeningPorts.look().owner(address, port);
}

/** Such as `nginx (pid 812)` or `a process of user 33`. */
export function describeOwner(owner: PortOwner): string {
  return owner.pid === undefined
    ? `a process of user ${owner.uid}`
    : `${owner.program ?? 'a process'} (pid ${owner.pid})`;
}
