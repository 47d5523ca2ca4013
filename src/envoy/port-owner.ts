/**
 * Who listens on a port. Two Envoys with SO_REUSEPORT share a port without any error and each gets half of the
 * connections, so a port is looked up before it goes into a listener.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { normalizeIp, stringifyIp } from 'ip-bigint';
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

/** State of a socket that listens (TCP) or is bound and not connected (UDP), in the kernel's tables. */
const LISTEN = { tcp: '0A', udp: '07' } as const;

/**
 * `0100007F` → `127.0.0.1`: words of four bytes in the byte order of the machine, which is little-endian on all that we
 * support. IPv4 in mapped form is IPv4.
 */
function parseAddress(hex: string): string {
  const number = BigInt(`0x${Buffer.from(hex, 'hex').swap32().toString('hex')}`);
  if (hex.length === 8) return stringifyIp({ number, version: 4 });
  return stringifyIp({ number, version: 6, ipv4mapped: number >> 32n === 0xffffn }, { mapv4: true });
}

/** The address as `parseAddress` writes it. */
function canonical(address: string): string {
  return isIP(address) === 0 ? address : normalizeIp(address, { validate: false, mapv4: true });
}

interface Socket {
  readonly address: string;
  readonly uid: number;
  readonly inode: string;
}

/** The kernel's tables of TCP sockets in this network namespace. Reading one takes it some 10 ms. */
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'] as const;
const UDP_TABLES = ['/proc/net/udp', '/proc/net/udp6'] as const;

function readTable(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Every listening socket of one protocol in this network namespace, by port. */
function listeningSockets(
  tables: readonly string[],
  listen: string = LISTEN.tcp,
): ReadonlyMap<number, readonly Socket[]> {
  const byPort = new Map<number, Socket[]>();
  for (const text of tables) {
    for (const line of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , uid = '0', , inode = ''] = line.trim().split(/\s+/);
      if (state !== listen) continue;
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

/** All sockets that processes have open, as far as they are not hidden from us: inode → pid. */
function pidsOfSockets(): ReadonlyMap<string, number> {
  const pids = new Map<string, number>();
  for (const name of readdirSync('/proc'))
    if (/^\d+$/.test(name)) for (const inode of socketsOf(name)) pids.set(inode, Number(name));
  return pids;
}

function pidOfSocket(inode: string): number | undefined {
  const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && socketsOf(name).includes(inode));
  return pid === undefined ? undefined : Number(pid);
}

/** One or several process ids, or none. */
export type OwnProcesses = number | readonly number[] | undefined;

/** Who listens where, as it was when this was made: many questions cost one look. */
export class ListeningPorts {
  readonly #sockets: ReadonlyMap<number, readonly Socket[]>;
  readonly #own: ReadonlySet<string>;

  private constructor(tables: readonly string[], own: OwnProcesses, listen: string = LISTEN.tcp) {
    this.#sockets = listeningSockets(tables, listen);
    this.#own = new Set([own ?? []].flat().flatMap(socketsOf));
  }

  /** @param own processes whose listeners do not count: our Envoy, and one that it is about to replace */
  static look(own?: OwnProcesses): ListeningPorts {
    return new ListeningPorts(TABLES.map(readTable), own);
  }

  /** As `look`, of UDP. */
  static lookUdp(own?: OwnProcesses): ListeningPorts {
    return new ListeningPorts(UDP_TABLES.map(readTable), own, LISTEN.udp);
  }

  /** As `look`, without holding up the event loop. */
  static async lookAside(own?: OwnProcesses): Promise<ListeningPorts> {
    const tables = await Promise.all(TABLES.map(async (file) => readFile(file, 'utf8').catch(() => '')));
    return new ListeningPorts(tables, own);
  }

  /** Where a TCP port of this network namespace is listened on, `0.0.0.0` and `::` for all addresses, and by which users. */
  listeners(port: number): readonly { readonly address: string; readonly uid: number }[] {
    const sockets = this.#sockets.get(port) ?? [];
    return sockets.flatMap(({ address, uid, inode }) => (this.#own.has(inode) ? [] : [{ address, uid }]));
  }

  /**
   * The process that listens on a port of this network namespace in a way that excludes (or silently shares with) a
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

/** Everything that listens in this network namespace, with its process: a look at the open files of all processes. */
export async function allListeners(protocol: 'tcp' | 'udp'): Promise<readonly PortOwner[]> {
  const tables = await Promise.all(
    [`/proc/net/${protocol}`, `/proc/net/${protocol}6`].map(async (file) => readFile(file, 'utf8').catch(() => '')),
  );
  const pids = pidsOfSockets();
  return [...listeningSockets(tables, LISTEN[protocol])].flatMap(([port, sockets]) =>
    sockets.map(({ address, uid, inode }) => {
      const pid = pids.get(inode);
      return { address, port, uid, pid, program: pid === undefined ? undefined : commandLine(pid)[0] };
    }),
  );
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
