/** Connections to the CA that are shared by what a host asks within a moment, and closed soon after. */
import { isRefusal } from './ca-addresses.ts';
import { type CaConnection, type CaPeer, connectCa } from './ca-client.ts';

interface Open {
  readonly key: string;
  readonly connection: Promise<CaConnection>;
  users: number;
  idle: NodeJS.Timeout | undefined;
}

/** Ten thousand hosts must not keep a connection each for two questions a day. */
const IDLE_MS = 2000;

export class CaConnections {
  readonly #open = new Map<string, Open>();

  /**
   * Uses the connection to `peer` for `work`.
   * @param key tells peers apart: another address, credential or root is another connection
   */
  async use<T>(key: string, peer: () => CaPeer, work: (connection: CaConnection) => Promise<T>): Promise<T> {
    const open = this.#open.get(key) ?? this.#add(key, peer());
    clearTimeout(open.idle);
    open.users += 1;
    try {
      return await work(await open.connection);
    } catch (error) {
      // gRPC waits longer and longer before it connects again; a new connection tries at once.
      if (!isRefusal(error)) this.#close(open);
      throw error;
    } finally {
      open.users -= 1;
      if (open.users === 0) {
        open.idle = setTimeout(() => this.#close(open), IDLE_MS);
        open.idle.unref();
      }
    }
  }

  closeAll(): void {
    for (const open of this.#open.values()) this.#close(open);
  }

  #add(key: string, peer: CaPeer): Open {
    const open: Open = { key, connection: connectCa(peer), users: 0, idle: undefined };
    this.#open.set(key, open);
    return open;
  }

  #close(open: Open): void {
    clearTimeout(open.idle);
    if (this.#open.get(open.key) === open) this.#open.delete(open.key);
    void open.connection.then((connection) => connection.close()).catch(() => undefined);
  }
}
