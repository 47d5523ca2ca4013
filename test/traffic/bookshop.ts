/** The service `reviews` in several versions, in plain text, called through one real Envoy by VirtualServices. */
import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import type { Host } from '../../src/model/host.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { listen } from '../support/listen.ts';
import { freePort } from '../support/ports.ts';
import { type RunningEnvoy, startEnvoy } from '../translate/envoy.ts';
import { host } from '../translate/mesh-literals.ts';

export interface Arrived {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** What a version does with its `count`th request, from 1; it answers when `after` is settled. */
export type Conduct = (
  arrived: Arrived,
  count: number,
) => {
  readonly status?: number;
  readonly delayMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly after?: Promise<void>;
};

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface CallOptions {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Document {
  readonly kind: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly spec: unknown;
}

export interface Bookshop {
  readonly envoy: RunningEnvoy;
  /** What each version got, oldest first. */
  readonly arrived: Readonly<Record<string, readonly Arrived[]>>;
  call(options?: CallOptions): Promise<Answered>;
  /** How often each version, or each other status, answered. */
  shares(count: number, options?: CallOptions): Promise<Readonly<Record<string, number>>>;
}

export interface BookshopOptions {
  /** By the value of the label `version`; answers say it in `x-app`. */
  readonly versions: Readonly<Record<string, Conduct>>;
  readonly rules: readonly Document[];
  readonly config?: Partial<MeshConfig>;
  readonly host?: Partial<Host>;
}

export const PLAIN: Conduct = () => ({});

/** VirtualService on `reviews`. */
export function routes(...http: readonly object[]): Document {
  return { kind: 'VirtualService', spec: { hosts: ['reviews'], http } };
}

export function to(subset: string, rest: object = {}): object {
  return { destination: { host: 'reviews', subset }, ...rest };
}

async function startVersion(t: TestContext, name: string, conduct: Conduct, arrived: Arrived[]): Promise<number> {
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming;
    const one = { method, url, headers };
    arrived.push(one);
    const { status = 200, delayMs = 0, headers: more = {}, after } = conduct(one, arrived.length);
    const answer = (): void => {
      outgoing.writeHead(status, { 'x-app': name, ...more });
      outgoing.end(name);
    };
    if (after !== undefined) void after.then(answer);
    else if (delayMs === 0) answer();
    else setTimeout(answer, delayMs).unref();
  });
  return listen(t, server);
}

function callPort(port: number, { method = 'GET', path = '/', headers = {} }: CallOptions): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port, method, path, headers, agent: false, timeout: 30_000 },
      (incoming) => {
        let body = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => (body += chunk));
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }));
      },
    );
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in 30 s')));
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** Starts the versions and Envoy; the rules must be free of diagnostics. */
export async function startBookshop(t: TestContext, options: BookshopOptions): Promise<Bookshop> {
  const names = Object.keys(options.versions);
  const arrived: Record<string, Arrived[]> = Object.fromEntries(names.map((name) => [name, []]));
  const ports = await Promise.all(
    Object.entries(options.versions).map(([name, conduct]) => startVersion(t, name, conduct, arrived[name] ?? [])),
  );
  const entry: Document = {
    kind: 'ServiceEntry',
    spec: {
      hosts: ['reviews.default.mesh'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
      endpoints: names.map((version, i) => ({
        address: '127.0.0.1',
        ports: { http: ports[i] },
        labels: { version },
      })),
    },
  };
  const subsets: Document = {
    kind: 'DestinationRule',
    spec: { host: 'reviews', subsets: names.map((name) => ({ name, labels: { version: name } })) },
  };
  const text = [entry, subsets, ...options.rules]
    .map(({ kind, name = 'reviews', namespace = 'default', spec }) =>
      stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name, namespace }, spec }),
    )
    .join('---\n');
  const resources = parseResources([{ file: 'in.yaml', text }]);
  const config = { ...DEFAULT_MESH_CONFIG, ...options.config };
  const mesh = buildMesh(undefined, { config, resources, catalogue: undefined, localServices: [] });
  assert.deepEqual(mesh.diagnostics, []);
  const port = await freePort();
  const upstreams = [
    { serviceHost: 'reviews.default.mesh', servicePort: undefined, listen: { address: '127.0.0.1', port } },
  ];
  const envoy = await startEnvoy(t, mesh, host({ upstreams, callerIdentity: undefined, ...options.host }), []);
  const call = (how: CallOptions = {}): Promise<Answered> => callPort(port, how);
  return {
    envoy,
    arrived,
    call,
    async shares(count, how) {
      const counts: Record<string, number> = {};
      for (let i = 0; i < count; i++) {
        const { status, headers } = await call(how);
        const key = status === 200 ? String(headers['x-app']) : String(status);
        counts[key] = (counts[key] ?? 0) + 1;
      }
      return counts;
    },
  };
}
