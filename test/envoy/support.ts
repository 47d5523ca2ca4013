/** An Envoy for one test: its own run folder and ports, a listener in front of a server of the test, ended with it. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Bootstrap, buildBootstrap } from '../../src/envoy/bootstrap.ts';
import { envoyFiles } from '../../src/envoy/files.ts';
import { EnvoyProcess } from '../../src/envoy/process.ts';
import { findProcesses, isRunning } from '../../src/envoy/process-identity.ts';
import type { EnvoyProcessOptions } from '../../src/envoy/process-options.ts';
import { type Log, silentLog } from '../../src/lib/log.ts';
import { eventually, PATIENCE_MS } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary, ROOT } from '../support/tools.ts';
import type { Ports } from './load.ts';

/** The launcher's script. */
export const LAUNCHER = join(ROOT, 'src/envoy/launcher.sh');

/** Options of an Envoy that needs no agent to become ready: everything is in its bootstrap. */
export interface TestEnvoy {
  readonly runDir: string;
  readonly healthPort: number;
  /** The inbound listener in front of `server`. */
  readonly port: number;
  readonly options: Omit<EnvoyProcessOptions, 'log' | 'onChange'>;
}

function listener(port: number, cluster = 'application', name = 'inbound'): Bootstrap {
  return {
    name,
    traffic_direction: 'INBOUND',
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: 'inbound',
              http_filters: [
                {
                  name: 'envoy.filters.http.router',
                  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                },
              ],
              route_config: {
                virtual_hosts: [
                  {
                    name: 'all',
                    domains: ['*'],
                    routes: [{ match: { prefix: '/' }, route: { cluster } }],
                  },
                ],
              },
            },
          },
        ],
      },
    ],
  };
}

function tcpListener(port: number, cluster = 'application'): Bootstrap {
  return {
    name: 'tcp',
    traffic_direction: 'INBOUND',
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.tcp_proxy',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
              stat_prefix: 'tcp',
              cluster,
            },
          },
        ],
      },
    ],
  };
}

function application(port: number, name = 'application', http2 = false): Bootstrap {
  return {
    name,
    type: 'STATIC',
    ...(http2 && {
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
          explicit_http_config: { http2_protocol_options: {} },
        },
      },
    }),
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }],
        },
      ],
    },
  };
}

/** Listeners and clusters that bring each kind of traffic to its port of the application. */
export function fourKinds(
  listen: Ports,
  applications: Ports,
): { readonly listeners: Bootstrap[]; readonly clusters: Bootstrap[] } {
  return {
    listeners: [
      listener(listen.http, 'http', 'http'),
      listener(listen.http2, 'http2', 'http2'),
      listener(listen.grpc, 'grpc', 'grpc'),
      tcpListener(listen.tcp, 'tcp'),
    ],
    clusters: [
      application(applications.http, 'http'),
      application(applications.http2, 'http2', true),
      application(applications.grpc, 'grpc', true),
      application(applications.tcp, 'tcp'),
    ],
  };
}

interface TestEnvoyOptions {
  /** Instead of the one inbound listener. */
  readonly resources?: ReturnType<typeof fourKinds>;
  readonly server?: Server;
  readonly tcp?: boolean;
  readonly binary?: string;
  readonly healthPort?: number;
}

/** The bootstrap of the product with its dynamic part replaced by one static listener. */
export async function testEnvoy(t: TestContext, settings: TestEnvoyOptions = {}): Promise<TestEnvoy> {
  const runDir = await tempDir(t);
  const [healthPort = 0, port = 0] = await freePorts(2);
  const adminSocket = join(runDir, 'admin.sock');
  const { dynamic_resources: _, ...rest } = buildBootstrap({
    nodeId: 'test',
    nodeCluster: 'test.default',
    locality: { region: 'r', zone: 'z', subzone: 's' },
    xdsSocket: join(runDir, 'xds.sock'),
    adminSocket,
    healthListener: { address: '127.0.0.1', port: settings.healthPort ?? healthPort },
  });
  const fixed = rest['static_resources'] as {
    readonly clusters: readonly unknown[];
    readonly listeners: readonly unknown[];
  };
  const upstream = (settings.server?.address() as AddressInfo | undefined)?.port ?? 1;
  const bootstrap = {
    ...rest,
    static_resources: {
      clusters: [...fixed.clusters, ...(settings.resources?.clusters ?? [application(upstream)])],
      listeners: [
        ...fixed.listeners,
        ...(settings.resources?.listeners ?? [settings.tcp === true ? tcpListener(port) : listener(port)]),
      ],
    },
  };
  t.after(() => endEnvoys(runDir));
  return {
    runDir,
    healthPort: settings.healthPort ?? healthPort,
    port,
    options: {
      binary: settings.binary ?? envoyBinary(),
      bootstrap,
      adminSocket,
      runDir,
      launcher: { kind: 'agent', script: LAUNCHER },
      concurrency: 1,
      drainTimeMs: 5000,
      backoff: { baseMs: 20, maxMs: 200 },
    },
  };
}

/** Processes that run with the bootstrap of this folder. */
export function envoysOf(runDir: string): ReturnType<typeof findProcesses> {
  return findProcesses((args) => args.includes(envoyFiles(runDir).bootstrap));
}

async function endEnvoys(runDir: string): Promise<void> {
  for (const found of envoysOf(runDir)) {
    process.kill(found.pid, 'SIGKILL');
    await eventually('Envoy is gone', () => !isRunning(found));
  }
}

/** A supervisor that is let go at the end of the test. */
export function supervisor(t: TestContext, envoy: TestEnvoy, log: Log = silentLog()): EnvoyProcess {
  const supervised = new EnvoyProcess({ ...envoy.options, log });
  t.after(() => supervised.stop({ drainTimeMs: 0 }));
  return supervised;
}

/** The id of the process that a supervisor holds. */
export function pidOf(supervised: EnvoyProcess): number {
  const { state } = supervised.status;
  if (!('pid' in state) || state.pid === undefined) throw new Error(`no process: ${JSON.stringify(state)}`);
  return state.pid;
}

/** Answers `held` requests only when told to; others at once. */
export async function startServer(
  t: TestContext,
): Promise<{ readonly server: Server; release(): void; held(): number }> {
  const waiting: (() => void)[] = [];
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    if (request.url === '/held') waiting.push(() => response.end('late'));
    else response.end('ok');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    server,
    held: () => waiting.length,
    release: () => {
      for (const answer of waiting.splice(0)) answer();
    },
  };
}

export const soon = (): AbortSignal => AbortSignal.timeout(PATIENCE_MS);
