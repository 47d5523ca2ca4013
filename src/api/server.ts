/** The server side of the local API: HTTP over a Unix socket that only the agent's user and root can open. */
import { chmod, unlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { type ApiCall, type ApiCalls, type ApiFailure, ROUTES } from './routes.ts';

/** Largest request body, in bytes. */
const MAX_BODY = 64 * 1024;
const MAX_CONNECTIONS = 32;
/** How long a client may take to send its request. */
const RECEIVE_TIMEOUT_MS = 5000;

/** The agent's answer to each call. `signal` aborts when the client has gone or the time is up. */
export type ApiHandlers = {
  readonly [Call in ApiCall]: (
    request: ApiCalls[Call]['request'],
    signal: AbortSignal,
  ) => ApiCalls[Call]['response'] | Promise<ApiCalls[Call]['response']>;
};

export interface ApiServer {
  /** Stops listening, ends open connections and removes the socket. */
  close(): Promise<void>;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.writableEnded || response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

function failure(code: string, message: string, remedy?: string): ApiFailure {
  return { error: remedy === undefined ? { code, message } : { code, message, remedy } };
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new TrysailError('API_BODY_TOO_LARGE', `the request's body exceeds ${MAX_BODY} bytes`);
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new TrysailError('API_BAD_REQUEST', 'the request is not JSON', { cause: error });
  }
}

function parsed(call: ApiCall, body: unknown): unknown {
  try {
    return ROUTES[call].parse(body);
  } catch (error) {
    throw new TrysailError('API_BAD_REQUEST', `${ROUTES[call].path}: ${errorMessage(error)}`, { cause: error });
  }
}

/** Aborts when the client goes or the time is up. */
function boundedBy(response: ServerResponse, timeoutMs: number): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new Error('the client has gone')));
  return AbortSignal.any([gone.signal, AbortSignal.timeout(timeoutMs)]);
}

/** The promise's outcome, or a rejection as soon as the signal aborts. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

const BAD_REQUEST: ReadonlySet<string> = new Set(['API_BODY_TOO_LARGE', 'API_BAD_REQUEST']);

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: ApiHandlers,
  log: Log,
): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?');
  const found = (Object.keys(ROUTES) as ApiCall[]).filter((call) => ROUTES[call].path === path);
  const call = found.find((name) => ROUTES[name].method === request.method);
  if (call === undefined) {
    const known = Object.values(ROUTES).map((route) => `${route.method} ${route.path}`);
    const status = found.length > 0 ? 405 : 404;
    send(response, status, failure('API_NO_SUCH_ROUTE', `no route ${request.method} ${path}`, known.join(', ')));
    return;
  }
  const signal = boundedBy(response, ROUTES[call].timeoutMs);
  try {
    const body = parsed(call, await bodyOf(request));
    const handler = handlers[call] as (request: unknown, signal: AbortSignal) => unknown;
    send(response, 200, await untilAborted(Promise.resolve(handler(body, signal)), signal));
  } catch (error) {
    if (error instanceof TrysailError) {
      send(response, BAD_REQUEST.has(error.code) ? 400 : 500, failure(error.code, error.message, error.remedy));
    } else if (signal.aborted) {
      send(response, 504, failure('API_TIMEOUT', `no answer within ${ROUTES[call].timeoutMs} ms`));
    } else {
      log.error({ err: error, call }, 'local API call failed');
      send(response, 500, failure('API_FAILED', errorMessage(error)));
    }
  }
}

/** Whether somebody accepts connections on the socket. The kernel answers for them, at once. */
async function isAlive(socket: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const connection = connect(socket);
    const end = (alive: boolean): void => {
      connection.destroy();
      resolve(alive);
    };
    connection.once('connect', () => end(true));
    // Whose queue of connections is full is alive, only busy: its socket must not be taken away.
    connection.once('error', (error) => end(errorCode(error) === 'EAGAIN'));
  });
}

async function bind(server: Server, socket: string): Promise<void> {
  const listening = Promise.withResolvers<void>();
  server.once('error', listening.reject);
  // A Unix socket is bound within listen(): nobody can open it between its creation and the chmod.
  const umask = process.umask(0o177);
  try {
    server.listen(socket, () => listening.resolve());
  } finally {
    process.umask(umask);
  }
  await listening.promise;
  server.removeListener('error', listening.reject);
  await chmod(socket, 0o600);
}

/**
 * Serves the local API on a Unix socket of mode 0600. The socket that a crashed agent left behind is replaced; one
 * that is still served is not.
 * @throws TrysailError `API_SOCKET_TAKEN` when another agent serves it, `API_SOCKET_FAILED` when it cannot be created
 */
export async function serveApi(options: {
  readonly socket: string;
  readonly handlers: ApiHandlers;
  readonly log: Log;
}): Promise<ApiServer> {
  const { socket, handlers, log } = options;
  const server = createServer(
    { requestTimeout: RECEIVE_TIMEOUT_MS, headersTimeout: RECEIVE_TIMEOUT_MS },
    (request, response) => {
      answer(request, response, handlers, log).catch((error: unknown) => {
        log.error({ err: error }, 'local API request failed');
        response.destroy();
      });
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await bind(server, socket).catch(async (error: unknown) => {
      if (errorCode(error) !== 'EADDRINUSE') throw error;
      if (await isAlive(socket))
        throw new TrysailError('API_SOCKET_TAKEN', `another agent serves ${socket}`, {
          remedy: 'Stop it first, or give this one another paths.run.',
        });
      await unlink(socket);
      await bind(server, socket);
    });
  } catch (error) {
    server.close();
    if (error instanceof TrysailError) throw error;
    throw new TrysailError('API_SOCKET_FAILED', `cannot listen on ${socket}: ${errorMessage(error)}`, {
      remedy: 'Create the folder, writable for the user of the agent, or set paths.run.',
      cause: error,
    });
  }
  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
