/** The server: takes resources, and brings every client to them by Envoy's discovery protocol. */
import { status as grpcStatus, Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js';
import { TrysailError } from '../lib/errors.ts';
import { type DebounceOptions, Debouncer } from './debouncer.ts';
import { EarlySocket } from './early-socket.ts';
import { Heartbeats } from './heartbeats.ts';
import { type Resource, type Resources, TYPE_URL, type TypeUrl } from './resource.ts';
import { ResponseEncoder } from './response.ts';
import { addServices, type ByteStream } from './services.ts';
import type { AcknowledgeEvent, OverdueEvent, RejectEvent, XdsStatus } from './status.ts';
import { XdsStream } from './stream.ts';
import type { ResourceStatus } from './subscription.ts';
import { TypeTable } from './type-table.ts';
import { unixPath } from './unix-socket.ts';

export interface XdsServerOptions {
  /** A client refused a response and goes on with what it had. */
  readonly onReject?: (event: RejectEvent) => void;
  /** A client accepted a response: it is valid, which does not say that it is in effect. */
  readonly onAcknowledge?: (event: AcknowledgeEvent) => void;
  /** A client has not answered for `ackTimeoutMs`. */
  readonly onOverdue?: (event: OverdueEvent) => void;
  /** After how long a missing answer is counted, in milliseconds; 10 s unless said otherwise. */
  readonly ackTimeoutMs?: number;
  /** For how long routes wait for their clusters (and so on) before they go without, in milliseconds; 5 s. */
  readonly stageTimeoutMs?: number;
  /** Gather bursts of changes before they are sent. Changed endpoints never wait. Off unless given. */
  readonly debounce?: DebounceOptions;
  /** Serve secrets over TCP too. For tests. */
  readonly allowSecretsOverTcp?: boolean;
  /** Tell clients that a secret does not exist. Older Envoys refuse such an answer, so they are left waiting instead. */
  readonly announceMissingSecrets?: boolean;
  /** The most names of one type that one stream may ask for; 200,000. */
  readonly maxNames?: number;
  /** The largest request in bytes; 32 MiB. */
  readonly maxRequestBytes?: number;
}

const NOTHING: ReadonlyMap<string, Resource> = new Map();

/** How long one turn of the event loop may spend on sending, so that answers are read in between. */
const TURN_MS = 5;

interface Waiter {
  readonly isDone: () => boolean;
  readonly resolve: () => void;
}

async function shutDown(server: Server, graceMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

export class XdsServer {
  readonly #options: XdsServerOptions;
  readonly #limits: { readonly ackTimeoutMs: number; readonly stageTimeoutMs: number };
  readonly #tables: ReadonlyMap<TypeUrl, TypeTable>;
  readonly #encoder = new ResponseEncoder();
  readonly #calls = new Map<XdsStream, ByteStream>();
  readonly #due = new Set<XdsStream>();
  readonly #waiters = new Set<Waiter>();
  readonly #closers = new Set<(graceMs: number) => Promise<void>>();
  readonly #counters = { responsesSent: 0, bytesSent: 0, acknowledged: 0, rejected: 0, overdue: 0, stale: 0 };
  readonly #heartbeats = new Heartbeats((typeUrl) => {
    for (const stream of this.#calls.keys()) stream.heartbeat(typeUrl);
  });
  readonly #debouncer: Debouncer | undefined;
  #sweeper: NodeJS.Timeout | undefined;
  #turn: NodeJS.Immediate | undefined;
  #generation = 0;
  #closing = false;

  constructor(options: XdsServerOptions = {}) {
    this.#options = options;
    const { ackTimeoutMs = 10_000, stageTimeoutMs = 5000 } = options;
    this.#limits = { ackTimeoutMs, stageTimeoutMs };
    if (options.debounce !== undefined)
      this.#debouncer = new Debouncer(options.debounce, (resources) => this.#apply(resources));
    this.#tables = new Map(Object.values(TYPE_URL).map((typeUrl) => [typeUrl, new TypeTable(typeUrl)]));
  }

  /** Serves `resources` from now on. Unchanged objects cost a comparison; unchanged bytes are not sent again. */
  setResources(resources: Resources): void {
    if (this.#debouncer === undefined) this.#apply(resources);
    else this.#debouncer.set(resources);
  }

  /**
   * Starts to serve.
   * @param address `unix:/path` (in a directory that exists and that the caller keeps private), or `host:port`, where
   * port 0 takes a free one
   * @returns the address as bound
   * @throws TrysailError XDS_SOCKET_IN_USE, XDS_SOCKET_PATH, XDS_LISTEN
   */
  async listen(address: string): Promise<string> {
    const path = unixPath(address);
    if (path !== undefined) {
      this.serve(await EarlySocket.open(path));
      return address;
    }
    // The kernel tells of a dead peer on a Unix socket; on TCP somebody has to ask.
    const keepalive = { 'grpc.keepalive_time_ms': 30_000, 'grpc.keepalive_timeout_ms': 10_000 };
    const server = this.#createServer(this.#options.allowSecretsOverTcp === true, keepalive);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else
          reject(
            new TrysailError('XDS_LISTEN', `cannot listen on ${address}: ${error.message}`, {
              remedy: 'Free the address or choose another.',
              cause: error,
            }),
          );
      });
    });
    this.#closers.add(async (graceMs) => shutDown(server, graceMs));
    return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
  }

  /** Starts to serve the clients of a Unix socket that is open already; it is the server's from now on. */
  serve(socket: EarlySocket): void {
    const injector = this.#createServer(true, {}).createConnectionInjector(ServerCredentials.createInsecure());
    socket.handOver((connection) => {
      injector.injectConnection(connection);
      connection.resume();
    });
    this.#closers.add(async (graceMs) => {
      socket.close();
      injector.drain(graceMs);
    });
  }

  #createServer(allowSecrets: boolean, options: ServerOptions): Server {
    const server = new Server({
      'grpc.max_receive_message_length': this.#options.maxRequestBytes ?? 32 * 1024 * 1024,
      'grpc.max_send_message_length': -1,
      // Nobody reads gRPC's own records of channels, and they take memory.
      'grpc.enable_channelz': 0,
      ...options,
    });
    addServices(server, {
      accept: (call, mode, typeUrl) => this.#accept(call, mode, typeUrl, allowSecrets),
      clientStatus: async (request) => {
        const { clientStatusResponse } = await import('./client-status.ts');
        return clientStatusResponse(request, this.#calls.keys());
      },
    });
    const { ackTimeoutMs, stageTimeoutMs } = this.#limits;
    this.#sweeper ??= setInterval(
      () => {
        const nowMs = performance.now();
        for (const stream of this.#calls.keys()) stream.sweep(nowMs);
      },
      Math.min(1000, ackTimeoutMs / 2, stageTimeoutMs / 2),
    ).unref();
    return server;
  }

  status(): XdsStatus {
    return {
      generation: this.#generation,
      clients: [...this.#calls.keys()].map((stream) => stream.status()),
      counters: { ...this.#counters },
    };
  }

  /** How many resources each type's newest stream holds in which state, by type URL. Looks at each of them. */
  resourceCounts(): ReadonlyMap<string, Readonly<Record<ResourceStatus['state'], number>>> {
    const counts = new Map<string, Record<ResourceStatus['state'], number>>();
    for (const { subscriptions } of this.#calls.keys()) {
      for (const [typeUrl, subscription] of subscriptions) {
        const ofType = { acknowledged: 0, rejected: 0, missing: 0, sent: 0, unsent: 0 };
        for (const { state } of subscription.statuses()) ofType[state] += 1;
        counts.set(typeUrl, ofType);
      }
    }
    return counts;
  }

  /**
   * Waits until the client with this node id has asked for all of `types` and has acknowledged everything it asked for.
   * @returns false when `signal` aborted before
   */
  async whenUpToDate(nodeId: string, types: readonly TypeUrl[], signal: AbortSignal): Promise<boolean> {
    const isDone = (): boolean => {
      const streams = [...this.#calls.keys()].filter((stream) => stream.node?.id === nodeId);
      return (
        streams.every((stream) => stream.upToDate) &&
        types.every((type) => streams.some((stream) => stream.subscriptions.has(type)))
      );
    };
    if (isDone()) return true;
    if (signal.aborted) return false;
    return new Promise((resolve) => {
      const finish = (done: boolean): void => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
        resolve(done);
      };
      const onAbort = (): void => finish(false);
      const waiter: Waiter = { isDone, resolve: () => finish(true) };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort);
    });
  }

  /** Ends all streams and stops listening; connections that are still open after `graceMs` are cut. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    clearInterval(this.#sweeper);
    this.#debouncer?.stop();
    if (this.#turn !== undefined) clearImmediate(this.#turn);
    this.#heartbeats.stop();
    for (const [stream, call] of this.#calls) {
      stream.close();
      call.end();
    }
    await Promise.all([...this.#closers].map(async (close) => close(graceMs)));
    this.#closers.clear();
  }

  #accept(call: ByteStream, mode: 'sotw' | 'delta', onlyType: TypeUrl | undefined, allowSecrets: boolean): void {
    const { maxNames = 200_000, announceMissingSecrets = false } = this.#options;
    if (this.#closing) {
      call.end();
      return;
    }
    const stream = new XdsStream(
      { ...this.#limits, mode, onlyType, allowSecrets, announceMissingSecrets, maxNames },
      {
        encoder: this.#encoder,
        counters: this.#counters,
        table: (typeUrl) => this.#tables.get(typeUrl as TypeUrl),
        generation: () => this.#generation,
        schedule: (due) => this.#schedule(due),
        write: (bytes) => call.write(bytes),
        end: (refusal, message) => call.emit('error', { code: grpcStatus[refusal], details: message }),
        onReject: (event) => this.#options.onReject?.(event),
        onAcknowledge: (event) => this.#options.onAcknowledge?.(event),
        onOverdue: (event) => this.#options.onOverdue?.(event),
      },
    );
    this.#calls.set(stream, call);
    const forget = (): void => {
      stream.close();
      this.#calls.delete(stream);
      this.#due.delete(stream);
      this.#wakeWaiters();
    };
    call.on('data', (bytes: Buffer) => {
      stream.receive(bytes);
      this.#wakeWaiters();
    });
    call.on('end', () => {
      call.end();
      forget();
    });
    for (const event of ['cancelled', 'close', 'error']) call.on(event, forget);
  }

  #apply(resources: Resources): void {
    this.#generation += 1;
    for (const [typeUrl, table] of this.#tables) {
      table.replace(typeUrl, resources.get(typeUrl) ?? NOTHING, this.#generation);
      this.#heartbeats.plan(table);
    }
  }

  #schedule(stream: XdsStream): void {
    this.#due.add(stream);
    this.#turn ??= setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#turn = undefined;
    const end = performance.now() + TURN_MS;
    for (const stream of this.#due) {
      this.#due.delete(stream);
      stream.flush();
      if (performance.now() > end && this.#due.size > 0) {
        this.#turn = setImmediate(() => this.#flush());
        break;
      }
    }
    this.#wakeWaiters();
  }

  #wakeWaiters(): void {
    for (const waiter of this.#waiters) if (waiter.isDone()) waiter.resolve();
  }
}
