/** What the bookshop's services share: options, a small HTTP server on loopback, the caller's identity. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { parseArgs } from 'node:util';

/** Who answers and who asked, part of every JSON answer. */
export interface Answerer {
  readonly service: string;
  readonly version: string;
  /** Name of the machine. */
  readonly instance: string;
  /** SPIFFE id of the immediate caller as this side's proxy verified it; undefined without mutual TLS. */
  readonly caller: string | undefined;
}

export interface ServiceOptions {
  readonly service: string;
  readonly version: string;
  readonly instance: string;
  /** Host and port to listen at. */
  readonly listen: URL;
  /** Also listen on this Unix socket, where set. */
  readonly socket: string | undefined;
  /** Base URLs of the services that it calls, by name. */
  readonly upstreams: ReadonlyMap<string, URL>;
}

/** Reads `--service --service-version --instance --listen HOST:PORT [--socket PATH] [--upstream NAME=HOST:PORT …]`. */
export function readOptions(): ServiceOptions {
  const { values } = parseArgs({
    options: {
      service: { type: 'string', default: '' },
      'service-version': { type: 'string', default: 'v1' },
      instance: { type: 'string', default: '' },
      listen: { type: 'string', default: '127.0.0.1:8080' },
      socket: { type: 'string' },
      upstream: { type: 'string', multiple: true, default: [] },
    },
  });
  const upstreams = values.upstream.map((entry): [string, URL] => {
    const [name = '', address = ''] = entry.split('=');
    return [name, new URL(`http://${address}`)];
  });
  return {
    service: values.service,
    version: values['service-version'],
    instance: values.instance,
    listen: new URL(`http://${values.listen}`),
    socket: values.socket,
    upstreams: new Map(upstreams),
  };
}

type Answer = (incoming: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/**
 * Answers requests, `GET /health` and `GET /counts` (requests by caller since the start) by itself, and logs each
 * caller the first time it is seen.
 */
export function serve(options: ServiceOptions, answer: Answer): void {
  const counts = new Map<string, number>();
  const listener = (incoming: IncomingMessage, response: ServerResponse): void => {
    if (incoming.url === '/health') return sendJson(response, 200, { status: 'ok' });
    if (incoming.url === '/counts') return sendJson(response, 200, Object.fromEntries(counts));
    const caller = callerOf(incoming) ?? 'unknown (plain text)';
    const seen = counts.get(caller) ?? 0;
    if (seen === 0) console.log(`${options.instance}: first request by ${caller}`);
    // Callers are few in a mesh; a flood of made-up ones must not fill the memory.
    if (seen > 0 || counts.size < 100) counts.set(caller, seen + 1);
    Promise.resolve(answer(incoming, response)).catch((error: unknown) => {
      console.error(`${options.instance}: ${String(error)}`);
      response.destroy();
    });
  };
  const { hostname, port } = options.listen;
  const servers = [createServer(listener).listen(Number(port), hostname)];
  if (options.socket !== undefined) servers.push(createServer(listener).listen(options.socket));
  for (const server of servers) {
    // A server that closes idle connections races with requests that its proxy is just sending on them.
    server.keepAliveTimeout = 0;
    server.on('error', (error) => {
      console.error(`${options.instance}: ${error.message}`);
      process.exit(1);
    });
  }
  console.log(`${options.instance}: ${options.service} ${options.version} listens at ${options.listen.host}`);
}

/** This side of an answer to `incoming`. */
export function answererOf(options: ServiceOptions, incoming: IncomingMessage): Answerer {
  const { service, version, instance } = options;
  return { service, version, instance, caller: callerOf(incoming) };
}

/** The SPIFFE id in the last element of `x-forwarded-client-cert`: the one that this side's proxy added. */
export function callerOf(incoming: Pick<IncomingMessage, 'headers'>): string | undefined {
  const header = incoming.headers['x-forwarded-client-cert'];
  const value = Array.isArray(header) ? header.at(-1) : header;
  const element = value?.split(',').at(-1) ?? '';
  return /(?:^|;)URI=(?<uri>[^;,]+)/.exec(element)?.groups?.['uri'];
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

/** The product's id in a path such as `/details/1`, or undefined for another path. */
export function productIdOf(incoming: IncomingMessage, collection: string): number | undefined {
  const id = new RegExp(`^/${collection}/(?<id>[0-9]{1,6})(?:[?]|$)`).exec(incoming.url ?? '')?.groups?.['id'];
  return id === undefined ? undefined : Number(id);
}
