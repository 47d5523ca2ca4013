/**
 * HTTP to Consul on Node's own client: over TCP, TLS with an optional client certificate, or a Unix socket; connections
 * kept alive; sizes and times bounded; gzip only where bytes leave the host.
 */
import { Agent, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { errorCode } from '../lib/errors.ts';
import { type ConsulAddress, isLocalAddress } from './address.ts';
import { type Asked, connectionFailure, sizeFailure, statusFailure, timeoutFailure } from './failure.ts';
import { type ConsulTls, TlsAgents } from './tls-agents.ts';

export interface ConsulRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Encoded, from `/v1/…`. */
  readonly path: string;
  /** A value of `true` becomes a bare key; undefined is left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: string | Uint8Array;
  /** Until the whole answer is in; 10 s unless said otherwise. */
  readonly timeoutMs?: number;
  /** Largest answer, after decompression; 4 MiB unless said otherwise. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal | undefined;
  /** The ACL rule that this request needs, for the error. */
  readonly needs?: string;
  /** Error statuses that are answers to the caller, such as 404. */
  readonly accept?: readonly number[];
}

export interface ConsulReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Transport {
  /**
   * One request, one answer.
   * @throws TrysailError with a `CONSUL_…` code (failure.ts); the signal's reason when it aborts
   */
  send(request: ConsulRequest): Promise<ConsulReply>;
  /** Ends all connections, with the requests on them. */
  close(): void;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 5000;
const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;
/** TCP keepalive finds a vanished host under a query that may wait for minutes. */
const KEEPALIVE_MS = 30_000;

function queryString(query: ConsulRequest['query']): string {
  const parts: string[] = [];
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value === undefined || value === false) continue;
    parts.push(value === true ? key : `${key}=${encodeURIComponent(value)}`);
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

async function decompressed(body: Buffer, headers: IncomingHttpHeaders, maxBytes: number): Promise<Buffer | undefined> {
  if (headers['content-encoding'] !== 'gzip') return body;
  const { gunzip } = await import('node:zlib');
  return new Promise((resolve, reject) => {
    gunzip(body, { maxOutputLength: maxBytes }, (error, plain) => {
      if (error === null) resolve(plain);
      else if (errorCode(error) === 'ERR_BUFFER_TOO_LARGE') resolve(undefined);
      else reject(error);
    });
  });
}

/** Collects a response's body; undefined when it is larger than `maxBytes`. */
function collect(response: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) {
        resolve(undefined);
        response.destroy();
      } else chunks.push(chunk);
    });
    response.once('end', () => resolve(Buffer.concat(chunks, size)));
    response.once('error', reject);
    response.once('close', () => {
      if (!response.complete) reject(new Error('the connection ended within the answer'));
    });
  });
}

/** Opens no connection yet. `token` is asked before every request. */
export function createTransport(
  address: ConsulAddress,
  options: { readonly token?: (() => Promise<string | undefined>) | undefined; readonly tls?: ConsulTls | undefined },
): Transport {
  const agentOptions = {
    keepAlive: true,
    keepAliveMsecs: KEEPALIVE_MS,
    maxFreeSockets: 8,
    scheduling: 'lifo',
  } as const;
  const plain = new Agent(agentOptions);
  const tls = address.kind === 'https' ? new TlsAgents(options.tls ?? {}, agentOptions) : undefined;
  const compress = !isLocalAddress(address);

  async function headersOf(sent: ConsulRequest): Promise<Record<string, string | number>> {
    const headers: Record<string, string | number> = { 'User-Agent': 'trysail', Accept: 'application/json' };
    const token = await options.token?.();
    if (token !== undefined) headers['X-Consul-Token'] = token;
    if (compress) headers['Accept-Encoding'] = 'gzip';
    if (sent.body !== undefined) headers['Content-Length'] = Buffer.byteLength(sent.body);
    return headers;
  }

  async function open(sent: ConsulRequest, path: string): Promise<ClientRequest> {
    const base = { method: sent.method, path, headers: await headersOf(sent) };
    if (address.kind === 'unix') return request({ ...base, agent: plain, socketPath: address.path });
    const target = { ...base, host: address.host, port: address.port };
    if (tls === undefined) return request({ ...target, agent: plain });
    const { request: secure } = await import('node:https');
    return secure({ ...target, agent: await tls.current() });
  }

  async function attempt(sent: ConsulRequest, asked: Asked): Promise<ConsulReply | 'stale connection'> {
    const { signal, timeoutMs = DEFAULT_TIMEOUT_MS, maxBytes = DEFAULT_MAX_BYTES } = sent;
    const path = sent.path + queryString(sent.query);
    signal?.throwIfAborted();
    const client = await open(sent, path);
    const timers: NodeJS.Timeout[] = [];
    const giveUp = (ms: number): NodeJS.Timeout => setTimeout(() => client.destroy(timeoutFailure(asked, ms)), ms);
    const onAbort = (): void => {
      client.destroy(new Error('aborted'));
    };
    signal?.addEventListener('abort', onAbort);
    try {
      timers.push(giveUp(timeoutMs));
      client.on('socket', (socket) => {
        if (!socket.connecting) return;
        const timer = giveUp(Math.min(CONNECT_TIMEOUT_MS, timeoutMs));
        timers.push(timer);
        socket.once(tls === undefined ? 'connect' : 'secureConnect', () => clearTimeout(timer));
      });
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        client.once('response', resolve);
        // Stays for the life of the request: an error after the answer must not become an uncaught one.
        client.on('error', reject);
        client.end(sent.body);
        if (signal?.aborted === true) onAbort();
      });
      const raw = await collect(response, maxBytes);
      const body = raw === undefined ? undefined : await decompressed(raw, response.headers, maxBytes);
      if (body === undefined) throw sizeFailure(asked, maxBytes);
      return { status: response.statusCode ?? 0, headers: response.headers, body };
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof Error && error.name === 'TrysailError') throw error;
      // Consul closed an idle connection at the moment we used it.
      if (client.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(errorCode(error) ?? '')) return 'stale connection';
      throw connectionFailure(asked, error);
    } finally {
      for (const timer of timers) clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  return {
    async send(sent) {
      const asked: Asked = { address: address.text, what: `${sent.method} ${sent.path}`, needs: sent.needs };
      let reply = await attempt(sent, asked);
      // A write may have been carried out before the connection broke; only its caller knows whether to repeat it.
      const tries = sent.method === 'GET' ? 8 : 0;
      for (let i = 0; reply === 'stale connection' && i < tries; i += 1) reply = await attempt(sent, asked);
      if (reply === 'stale connection') throw connectionFailure(asked, new Error('the connection was reset'));
      if ((reply.status < 200 || reply.status > 299) && sent.accept?.includes(reply.status) !== true)
        throw statusFailure(asked, reply.status, reply.body.toString('utf8', 0, 2000));
      return reply;
    },
    close() {
      plain.destroy();
      tls?.close();
    },
  };
}
