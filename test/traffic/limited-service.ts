/** The service `reviews` behind a real Envoy that gets rate limits over xDS, with callers that have certificates of the mesh. */
import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import type { Limit, RateLimit } from '../../src/model/rate-limit.ts';
import type { Endpoint, Protocol, Service } from '../../src/model/service.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { type Agentlet, startAgentlet } from '../translate/agentlet.ts';
import { httpApplication, type Seen } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { endpoint, host, mesh, service, spiffe, workload } from '../translate/mesh-literals.ts';

export const authority = await testAuthority();

export const HOUR_MS = 3_600_000;

export function limit(rest: Partial<Limit> = {}): Limit {
  return {
    name: 'all',
    match: [],
    by: [],
    requests: 3,
    perMs: HOUR_MS,
    burst: undefined,
    scope: 'instance',
    dryRun: false,
    ...rest,
  };
}

export function rateLimit(limits: readonly Limit[], rest: Partial<RateLimit> = {}): RateLimit {
  const meta = { kind: 'RateLimit', namespace: 'default', name: 'api', labels: {}, age: 0 };
  return {
    meta: { ...meta, source: { file: 'x.yaml', line: 1 } },
    host: 'reviews.default.mesh',
    ports: [],
    limits,
    server: undefined,
    ...rest,
  };
}

export interface LimitedService {
  /** Where it takes plain text and mutual TLS. */
  readonly port: number;
  readonly server: Agentlet;
  /** What the application got. */
  readonly seen: readonly Seen[];
  /** Gives the server's Envoy other limits, or other instances beside its own. */
  readonly serve: (rateLimits: readonly RateLimit[], others?: readonly Endpoint[]) => void;
}

export interface LimitedOptions {
  readonly rateLimits: readonly RateLimit[];
  readonly protocol?: Protocol;
  readonly mesh?: Partial<Mesh>;
  readonly host?: Partial<Host>;
  /** Services beside it, for its Envoy alone. */
  readonly services?: readonly (readonly [Service, readonly Endpoint[]])[];
}

/** Starts it with PERMISSIVE mutual TLS and waits until it listens. */
export async function startLimited(t: TestContext, options: LimitedOptions): Promise<LimitedService> {
  const { protocol = 'HTTP', services = [] } = options;
  const [port = 0, applicationPort = 0] = await freePorts(2);
  const seen = await httpApplication(t, applicationPort);
  const reviews = service('reviews', protocol);
  const own = endpoint('127.0.0.1', port);
  const self = host({
    nodeId: 'server',
    workloads: [workload('reviews', protocol, port, applicationPort)],
    ...options.host,
  });
  const secrets = await authority.secrets(spiffe('reviews'));
  const server = await startAgentlet(t, self);
  const meshOf = (rateLimits: readonly RateLimit[], others: readonly Endpoint[]): Mesh =>
    mesh([[reviews, [own, ...others]], ...services], { ...options.mesh, rateLimits });
  let last = meshOf(options.rateLimits, []);
  server.serve(last, secrets);
  await eventually('the listener is there', async () => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
  });
  return {
    port,
    server,
    seen,
    serve: (rateLimits, others = []) => {
      // As the agent does: what did not change is the same object.
      const next = meshOf(rateLimits, others);
      const same = rateLimits === last.rateLimits;
      last = { ...last, rateLimits: same ? last.rateLimits : rateLimits, endpoints: next.endpoints };
      server.serve(last, secrets);
    },
  };
}

export interface CallOptions {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  /** The account whose certificate is shown; undefined: plain text. */
  readonly as?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One request on a connection of its own. */
export async function ask(port: number, { as, ...options }: CallOptions = {}): Promise<Answer> {
  const pair = as === undefined ? undefined : await authority.issue(spiffe(as));
  const socket =
    pair === undefined
      ? connect(port, '127.0.0.1')
      : tlsConnect({
          port,
          host: '127.0.0.1',
          cert: pair.certificateChainPem,
          key: pair.privateKeyPem,
          ca: authority.rootPem,
          ALPNProtocols: ['istio-http/1.1', 'http/1.1'],
          // The certificate names a SPIFFE id, which Node does not compare.
          checkServerIdentity: () => undefined,
        });
  await once(socket, pair === undefined ? 'connect' : 'secureConnect');
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...options, createConnection: () => socket, timeout: 30_000 }, (incoming) => {
      let body = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      incoming.once('end', () => {
        socket.destroy();
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body });
      });
    });
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in 30 s')));
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** Makes so many calls, one after the other, and returns their statuses. */
export async function statuses(port: number, count: number, options: CallOptions = {}): Promise<readonly number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) all.push((await ask(port, options)).status);
  return all;
}

/** One statistic of a limit; 0 when it was never counted. */
export async function counted(server: Agentlet, name: string, what: string): Promise<number> {
  const prefix = `${name}.http_local_rate_limit.${what}: `;
  const line = (await server.stats('http_local_rate_limit')).split('\n').find((text) => text.startsWith(prefix));
  return line === undefined ? 0 : Number(line.slice(prefix.length));
}
