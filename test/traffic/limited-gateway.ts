/** A gateway with rate limits: real Envoy, the hosts `one.test`, `two.test` and `api.two.test`, and callers of several addresses. */
import { type IncomingHttpHeaders, request } from 'node:http';
import { request as requestTls } from 'node:https';
import { connect as connectTcp } from 'node:net';
import type { TestContext } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { httpApplication, type Seen } from '../translate/applications.ts';
import { type KeyPairPem, testAuthority } from '../translate/certificates.ts';
import { spiffe } from '../translate/mesh-literals.ts';
import { type GatewayHost, type GatewayHostOptions, startGateway } from './gateway-host.ts';
import { gatewayYaml, httpServer, outsideYaml, ruleYaml } from './gateway-yaml.ts';

export const authority = await testAuthority();

/** A RateLimit for Gateway `gw`; `rest` is what stands beside `limits`. */
export function limitYaml(limits: string, rest = ''): string {
  return `
apiVersion: trysail.dev/v1
kind: RateLimit
metadata: {name: edge}
spec:
  gateway: gw
  ${rest}
  limits: ${limits}
---`;
}

export interface LimitedGateway extends GatewayHost {
  readonly http: number;
  readonly https: number;
  /** All that it was made from. */
  readonly yaml: string;
  /** What the application behind it got. */
  readonly seen: readonly Seen[];
  /** Gives it other limits. */
  readonly limit: (yaml: string) => void;
}

export interface LimitedGatewayOptions extends Pick<GatewayHostOptions, 'roles' | 'host'> {
  /** RateLimits. */
  readonly limits: string;
  /** Further servers of `gw`. */
  readonly servers?: (http: number, https: number) => string;
  /** Further resources. */
  readonly more?: string | ((http: number) => string);
}

/** HTTP for all hosts, HTTPS for `one.test` in mode OPTIONAL_MUTUAL and for `two.test`. */
export async function startLimitedGateway(t: TestContext, options: LimitedGatewayOptions): Promise<LimitedGateway> {
  const { limits, servers = () => '', more = '', ...rest } = options;
  const [http = 0, https = 0, application = 0] = await freePorts(3);
  const seen = await httpApplication(t, application, 'web');
  const base = `${outsideYaml('web', 'HTTP', application)}${gatewayYaml(`${httpServer(http, '["*"]')}
  - {port: {number: ${https}, name: one, protocol: HTTPS}, hosts: [one.test], tls: {mode: OPTIONAL_MUTUAL, credentialName: one}}
  - {port: {number: ${https}, name: two, protocol: HTTPS}, hosts: [two.test], tls: {mode: SIMPLE, credentialName: two}}
${servers(http, https)}`)}${ruleYaml(
    'web',
    '[one.test, two.test, "*.two.test"]',
    `  http:
  - match: [{uri: {prefix: /moved}}]
    redirect: {uri: /}
  - match: [{uri: {prefix: /}}]
    route: [{destination: {host: web.test}}]`,
  )}
${typeof more === 'string' ? more : more(http)}`;
  const gateway = await startGateway(t, {
    ...rest,
    authority,
    yaml: base + limits,
    before: async (put) => {
      for (const name of ['one', 'two']) await put(name, await authority.issue(`${name}.test`), authority.rootPem);
    },
  });
  for (const port of [http, https])
    await eventually(`port ${port} listens`, async () => {
      await new Promise<void>((resolve, reject) => {
        const socket = connectTcp(port, '127.0.0.1', () => {
          socket.destroy();
          resolve();
        });
        socket.once('error', reject);
      });
    });
  return { ...gateway, http, https, yaml: base + limits, seen, limit: (yaml) => gateway.serve(base + yaml) };
}

export interface EdgeCall {
  /** Host and, over TLS, server name; default `one.test`. */
  readonly host?: string;
  /** Host where it is not the server name. */
  readonly authority?: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The caller's own address; default 127.0.0.1. */
  readonly from?: string;
  readonly tls?: boolean;
  /** The caller's certificate. */
  readonly client?: KeyPairPem;
}

export interface EdgeAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** One request on a connection of its own. */
export function askEdge(port: number, of: EdgeCall = {}): Promise<EdgeAnswer> {
  const { host = 'one.test', path = '/', method = 'GET', headers = {}, from = '127.0.0.1', tls = false, client } = of;
  const options = {
    host: '127.0.0.1',
    port,
    path,
    method,
    headers: { host: of.authority ?? host, ...headers },
    localAddress: from,
    agent: false,
    timeout: 30_000,
  } as const;
  const secure = {
    servername: host,
    ca: authority.rootPem,
    // Certificates of the mesh bear SPIFFE ids, which Node does not compare.
    checkServerIdentity: () => undefined,
    ...(client !== undefined && { cert: client.certificateChainPem, key: client.privateKeyPem }),
  };
  return new Promise((resolve, reject) => {
    const outgoing = tls ? requestTls({ ...options, ...secure }) : request(options);
    outgoing.once('response', (incoming) => {
      incoming.resume();
      incoming.once('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers }));
    });
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in 30 s')));
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** Makes so many calls, one after the other, and returns their statuses. */
export async function edgeStatuses(port: number, count: number, call: EdgeCall = {}): Promise<readonly number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) all.push((await askEdge(port, call)).status);
  return all;
}

/** The certificate of a service of the mesh. */
export async function certificateOf(account: string): Promise<KeyPairPem> {
  return authority.issue(spiffe(account));
}
