/** A real Envoy with listeners of capture, configured by hand: what arrives at one says so or goes on to where it went. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import type { Namespace } from './netns.ts';

const TYPE = 'type.googleapis.com/envoy.extensions';

export interface ProxyListener {
  readonly address: string;
  readonly port: number;
  /**
   * `answer`: says "proxy <port>" and ends. `passthrough`: goes on to the first destination. An address: goes on there,
   * from `from` where that is given.
   */
  readonly to: 'answer' | 'passthrough' | { readonly address: string; readonly port: number; readonly from?: string };
  /** Transparent, and calls from the caller's address. */
  readonly keepsCaller?: boolean;
}

const socketAddress = (address: string, port: number) => ({ socket_address: { address, port_value: port } });

function listenerOf({ address, port, to, keepsCaller = false }: ProxyListener, i: number): unknown {
  const filter =
    to === 'answer'
      ? {
          name: 'envoy.filters.network.direct_response',
          typed_config: {
            '@type': `${TYPE}.filters.network.direct_response.v3.Config`,
            response: { inline_string: `proxy ${port}\n` },
          },
        }
      : {
          name: 'envoy.filters.network.tcp_proxy',
          typed_config: {
            '@type': `${TYPE}.filters.network.tcp_proxy.v3.TcpProxy`,
            stat_prefix: 'x',
            cluster: to === 'passthrough' ? 'passthrough' : `to-${i}`,
          },
        };
  return {
    name: `listener-${i}`,
    address: socketAddress(address, port),
    ...(keepsCaller ? { transparent: true } : {}),
    listener_filters: [
      {
        name: 'envoy.filters.listener.original_dst',
        typed_config: { '@type': `${TYPE}.filters.listener.original_dst.v3.OriginalDst` },
      },
      ...(keepsCaller
        ? [
            {
              name: 'envoy.filters.listener.original_src',
              typed_config: { '@type': `${TYPE}.filters.listener.original_src.v3.OriginalSrc`, mark: 1337 },
            },
          ]
        : []),
    ],
    filter_chains: [{ filters: [filter] }],
  };
}

function clusterOf({ to }: ProxyListener, i: number): readonly unknown[] {
  if (typeof to === 'string') return [];
  const name = `to-${i}`;
  return [
    {
      name,
      type: 'STATIC',
      connect_timeout: '20s',
      load_assignment: {
        cluster_name: name,
        endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(to.address, to.port) } }] }],
      },
      ...(to.from === undefined
        ? {}
        : { upstream_bind_config: { source_address: { address: to.from, port_value: 0 }, freebind: true } }),
    },
  ];
}

/** Starts Envoy as root with these listeners; `holding` is a FIFO whose write end it has as descriptor 9. */
export async function startProxy(
  t: Pick<TestContext, 'after'>,
  where: Namespace,
  listeners: readonly ProxyListener[],
  holding?: string,
): Promise<Child> {
  const file = join(await tempDir(t), 'envoy.json');
  await writeFile(
    file,
    JSON.stringify({
      static_resources: {
        listeners: listeners.map(listenerOf),
        clusters: [
          {
            name: 'passthrough',
            type: 'ORIGINAL_DST',
            lb_policy: 'CLUSTER_PROVIDED',
            connect_timeout: '20s',
          },
          ...listeners.flatMap(clusterOf),
        ],
      },
    }),
  );
  const command = `exec ${envoyBinary()} -c ${file} --concurrency 1 --disable-hot-restart --log-level warn`;
  const child = where.start(
    'sh',
    '-c',
    holding === undefined ? command : `exec 8<>"${holding}"; exec 9>"${holding}"; exec 8<&-; ${command}`,
  );
  await eventually('Envoy listens', async () => {
    if (child.process.exitCode !== null) throw new Error(child.output());
    const text = await where.run('ss', '-ltn');
    for (const { port } of listeners) if (!text.includes(`:${port} `)) throw new Error(`${port}\n${text}`);
  });
  return child;
}
