/**
 * Client of Envoy's admin interface over its Unix socket. Every call has a time limit and a size limit: `/clusters` of
 * ten thousand endpoints is 13 MB, and a person may have stopped Envoy in a debugger.
 * https://www.envoyproxy.io/docs/envoy/latest/operations/admin
 */
import { request } from 'node:http';
import * as z from 'zod/mini';
import { errorMessage, TrysailError } from '../lib/errors.ts';

const DEFAULT_TIMEOUT_MS = 2000;
const DEFAULT_MAX_BYTES = 1024 * 1024;
/** A configuration with a hundred services and ten thousand endpoints is about a quarter of this. */
const DUMP_MAX_BYTES = 64 * 1024 * 1024;

const ServerInfo = z.object({
  version: z.string(),
  state: z.enum(['LIVE', 'DRAINING', 'PRE_INITIALIZING', 'INITIALIZING']),
  hot_restart_version: z._default(z.string(), ''),
  command_line_options: z.object({
    config_path: z._default(z.string(), ''),
    restart_epoch: z._default(z.number(), 0),
    disable_hot_restart: z._default(z.boolean(), false),
    base_id: z._default(z.string(), ''),
    socket_path: z._default(z.string(), ''),
  }),
});

/** What an Envoy says of itself. */
export interface ServerInfo {
  /** Such as `1.40.0`. */
  readonly version: string;
  /** `LIVE` once all configuration has arrived; `DRAINING` after `healthcheck/fail`. */
  readonly state: 'LIVE' | 'DRAINING' | 'PRE_INITIALIZING' | 'INITIALIZING';
  readonly configPath: string;
  readonly epoch: number;
  /** Whether another Envoy can take over from it; with whom, by the three that follow. */
  readonly hotRestart: boolean;
  /** Such as `11.104`, or `disabled`. */
  readonly hotRestartVersion: string;
  readonly hotRestartSocket: string;
  readonly baseId: string;
}

export interface AdminCallOptions {
  /** Default 2,000. */
  readonly timeoutMs?: number;
  /** Longer answers are an error; default 1 MiB. */
  readonly maxBytes?: number;
}

interface AdminAnswer {
  readonly status: number;
  readonly body: string;
}

/** The release in Envoy's long version (`<commit>/1.40.0/Clean/RELEASE/BoringSSL`), or the text itself. */
function releaseOf(version: string): string {
  return /(?:^|\/)(\d+\.\d+\.\d+[^/]*)/.exec(version)?.[1] ?? version;
}

/** One Envoy's admin interface. Holds no connection between calls. */
export class AdminClient {
  readonly #socket: string;

  /** @param socket path of the Unix socket */
  constructor(socket: string) {
    this.#socket = socket;
  }

  /**
   * The body of a GET.
   * @throws TrysailError ENVOY_ADMIN_UNREACHABLE, ENVOY_ADMIN_REFUSED (status 400 and above), ENVOY_ADMIN_TOO_LARGE
   */
  async get(path: string, options: AdminCallOptions = {}): Promise<string> {
    return this.#checked('GET', path, options);
  }

  /** The body of a POST, which is how Envoy is told to do something. Errors as `get`. */
  async post(path: string, options: AdminCallOptions = {}): Promise<string> {
    return this.#checked('POST', path, options);
  }

  /** Whether Envoy is live: configured and not draining. Errors as `get`, but for a status of 503. */
  async ready(options: AdminCallOptions = {}): Promise<boolean> {
    return (await this.#call('GET', '/ready', options)).status === 200;
  }

  async serverInfo(options: AdminCallOptions = {}): Promise<ServerInfo> {
    const parsed = z.safeParse(ServerInfo, await this.#json('/server_info', options));
    if (!parsed.success)
      throw new TrysailError('ENVOY_ADMIN_REFUSED', `${this.#socket} answers, but not as Envoy does`, {
        remedy: 'Stop the program that listens there.',
        cause: parsed.error,
      });
    const { version, state, command_line_options: options_ } = parsed.data;
    return {
      version: releaseOf(version),
      state,
      configPath: options_.config_path,
      epoch: options_.restart_epoch,
      hotRestart: !options_.disable_hot_restart,
      hotRestartVersion: parsed.data.hot_restart_version,
      hotRestartSocket: options_.socket_path,
      baseId: options_.base_id,
    };
  }

  /**
   * Counters and gauges whose name matches, by name.
   * @param filter RE2; histograms are left out
   */
  async stats(filter: string, options: AdminCallOptions = {}): Promise<ReadonlyMap<string, number>> {
    const text = await this.get(`/stats?histogram_buckets=none&filter=${encodeURIComponent(filter)}`, options);
    const stats = new Map<string, number>();
    for (const line of text.split('\n')) {
      const split = line.lastIndexOf(': ');
      const value = Number(line.slice(split + 2));
      if (split > 0 && Number.isFinite(value)) stats.set(line.slice(0, split), value);
    }
    return stats;
  }

  /**
   * Clusters with their endpoints and health, in Envoy's JSON form (`envoy.admin.v3.Clusters`).
   * @param filter RE2 on the cluster's name: ask for what you need
   */
  async clusters(filter?: string, options: AdminCallOptions = {}): Promise<unknown> {
    const query = filter === undefined ? '' : `&filter=${encodeURIComponent(filter)}`;
    return this.#json(`/clusters?format=json${query}`, { maxBytes: DUMP_MAX_BYTES, ...options });
  }

  /** Active listeners and their addresses (`envoy.admin.v3.Listeners`). */
  async listeners(options: AdminCallOptions = {}): Promise<unknown> {
    return this.#json('/listeners?format=json', options);
  }

  /** Loaded certificates with serials and expiry, no keys (`envoy.admin.v3.Certificates`). */
  async certificates(options: AdminCallOptions = {}): Promise<unknown> {
    return this.#json('/certs', options);
  }

  /**
   * The configuration that is in force (`envoy.admin.v3.ConfigDump`); Envoy leaves private keys out.
   * @param query such as `?resource=dynamic_listeners&name_regex=…` or `?include_eds`
   */
  async configDump(query = '', options: AdminCallOptions = {}): Promise<unknown> {
    return this.#json(`/config_dump${query}`, { timeoutMs: 10_000, maxBytes: DUMP_MAX_BYTES, ...options });
  }

  /** What Envoy still waits for before it goes live; empty once it is. */
  async waitingFor(options: AdminCallOptions = {}): Promise<readonly string[]> {
    const parsed = z.safeParse(
      z.object({
        unready_targets_dumps: z._default(
          z.array(z.object({ name: z._default(z.string(), ''), target_names: z._default(z.array(z.string()), []) })),
          [],
        ),
      }),
      await this.#json('/init_dump', options),
    );
    return parsed.success ? parsed.data.unready_targets_dumps.flatMap((dump) => dump.target_names) : [];
  }

  /** From now on the health listener answers 503 and HTTP connections are told to go elsewhere. */
  async failHealthCheck(call: AdminCallOptions = {}): Promise<void> {
    await this.post('/healthcheck/fail', call);
  }

  async passHealthCheck(): Promise<void> {
    await this.post('/healthcheck/ok');
  }

  /**
   * Drains listeners. Gracefully: they keep accepting for the drain time while connections are told to close; otherwise
   * they close at once, and requests in progress go on. Final for this process either way.
   */
  async drainListeners(
    options: { readonly graceful: boolean; readonly inboundOnly: boolean },
    call: AdminCallOptions = {},
  ): Promise<void> {
    const query = [options.inboundOnly ? 'inboundonly' : '', options.graceful ? 'graceful' : ''].filter(
      (part) => part !== '',
    );
    await this.post(`/drain_listeners${query.length === 0 ? '' : `?${query.join('&')}`}`, call);
  }

  async #json(path: string, options: AdminCallOptions): Promise<unknown> {
    const body = await this.get(path, options);
    try {
      return JSON.parse(body);
    } catch (error) {
      throw new TrysailError('ENVOY_ADMIN_REFUSED', `${this.#socket} answered ${path} with something else than JSON`, {
        cause: error,
      });
    }
  }

  async #checked(method: string, path: string, options: AdminCallOptions): Promise<string> {
    const { status, body } = await this.#call(method, path, options);
    if (status < 400) return body;
    throw new TrysailError(
      'ENVOY_ADMIN_REFUSED',
      `Envoy answered ${method} ${path} with status ${status}: ${body.trim().slice(0, 200)}`,
    );
  }

  async #call(method: string, path: string, options: AdminCallOptions): Promise<AdminAnswer> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, maxBytes = DEFAULT_MAX_BYTES } = options;
    const { promise, resolve, reject } = Promise.withResolvers<AdminAnswer>();
    const signal = AbortSignal.timeout(timeoutMs);
    // The host is for the header alone. A name would have Node compile its pattern of IPv6 addresses: 15 ms of a start.
    const call = request(
      { socketPath: this.#socket, host: '127.0.0.1', method, path, agent: false, signal },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > maxBytes) {
            call.destroy(
              new TrysailError(
                'ENVOY_ADMIN_TOO_LARGE',
                `Envoy's answer to ${path} is longer than the ${maxBytes} bytes that are read of it`,
                { remedy: 'Ask for less with a filter.' },
              ),
            );
            return;
          }
          chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
        });
      },
    );
    call.on('error', reject);
    call.end();
    try {
      return await promise;
    } catch (error) {
      if (error instanceof TrysailError) throw error;
      const reason =
        error instanceof Error && error.name === 'AbortError'
          ? `no answer within ${timeoutMs} ms`
          : errorMessage(error);
      throw new TrysailError('ENVOY_ADMIN_UNREACHABLE', `Envoy's admin at ${this.#socket}: ${reason} (${path})`, {
        remedy: 'See whether Envoy runs and whether this user may open the socket.',
        cause: error,
      });
    }
  }
}
