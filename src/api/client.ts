/** The client side of the local API: one call, one answer, every failure in words that a person can act on. */
import { request } from 'node:http';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
import { type ApiCall, type ApiCalls, type ApiFailure, ROUTES } from './routes.ts';

/** Largest answer, in bytes. */
const MAX_ANSWER = 64 * 1024 * 1024;
/** What a client waits beyond the server's own bound, so that the server's words win. */
const EXTRA_MS = 1000;

function unreachable(socket: string, error: unknown): TrysailError {
  const cause = { cause: error };
  switch (errorCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new TrysailError('AGENT_NOT_RUNNING', `the agent is not running: there is no socket ${socket}`, {
        remedy:
          'Start it with "systemctl start trysail" (without systemd: "trysail agent --config <file>"), or name its socket by --socket. A host that has not joined has none: trysail join --check.',
        ...cause,
      });
    case 'ECONNREFUSED':
      return new TrysailError('AGENT_NOT_RUNNING', `the agent is not running: nobody answers on ${socket}`, {
        remedy:
          'It ended without tidying up: its log says why. Start it again: "systemctl start trysail", or without systemd "trysail agent --config <file>".',
        ...cause,
      });
    case 'EACCES':
    case 'EPERM':
      return new TrysailError('AGENT_FORBIDDEN', `this user may not open ${socket}`, {
        remedy: 'Run the command as root or as the user of the agent (sudo -u trysail …).',
        ...cause,
      });
    default:
      return new TrysailError(
        'AGENT_CALL_FAILED',
        `the call to the agent on ${socket} failed: ${errorMessage(error)}`,
        {
          remedy: 'Look with "journalctl -u trysail".',
          ...cause,
        },
      );
  }
}

async function exchange(
  socket: string,
  call: ApiCall,
  body: string | undefined,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  const { method, path } = ROUTES[call];
  return await new Promise((resolve, reject) => {
    const headers =
      body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request({ socketPath: socket, method, path, headers, signal, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER) sent.destroy(new Error(`the answer exceeds ${MAX_ANSWER} bytes`));
        else chunks.push(chunk);
      });
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      );
      response.once('error', reject);
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

function isFailure(value: unknown): value is ApiFailure {
  if (typeof value !== 'object' || value === null || !('error' in value)) return false;
  const { error } = value;
  return typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string';
}

function parseAnswer(socket: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TrysailError('AGENT_CALL_FAILED', `what answers on ${socket} is no agent`, {
      remedy: 'Name the socket of the agent by --socket.',
      cause: error,
    });
  }
}

/**
 * Asks the agent behind a socket.
 * @param options.signal ends the call early
 * @throws TrysailError `AGENT_NOT_RUNNING`, `AGENT_FORBIDDEN`, `AGENT_TIMEOUT`, `AGENT_CALL_FAILED`, or what the agent
 * itself answers
 */
export async function callApi<Call extends ApiCall>(
  socket: string,
  call: Call,
  body: ApiCalls[Call]['request'],
  options: { readonly signal?: AbortSignal; readonly timeoutMs?: number } = {},
): Promise<ApiCalls[Call]['response']> {
  const { timeoutMs = ROUTES[call].timeoutMs + EXTRA_MS } = options;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  let reply: Awaited<ReturnType<typeof exchange>>;
  try {
    reply = await exchange(socket, call, body === undefined ? undefined : JSON.stringify(body), signal);
  } catch (error) {
    if (timeout.aborted)
      throw new TrysailError('AGENT_TIMEOUT', `the agent did not answer on ${socket} within ${timeoutMs} ms`, {
        remedy: 'Look into its log; if it hangs, end it and start it again: Envoy serves on meanwhile.',
        cause: error,
      });
    throw unreachable(socket, error);
  }
  const answer = parseAnswer(socket, reply.text);
  if (reply.status === 200) return answer as ApiCalls[Call]['response'];
  if (!isFailure(answer))
    throw new TrysailError('AGENT_CALL_FAILED', `the agent on ${socket} answered ${reply.status}`);
  const { code, message, remedy } = answer.error;
  throw new TrysailError(code, message, remedy === undefined ? {} : { remedy });
}
