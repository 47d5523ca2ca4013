/** A real Consul on loopback: one server, not `-dev`, which caps connections. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Child, startChild } from './child.ts';
import { eventually } from './eventually.ts';
import { freePorts } from './ports.ts';
import { tempDir } from './temp-dir.ts';
import { consulBinary } from './tools.ts';

export interface TestConsul {
  /** Such as `http://127.0.0.1:8500`. */
  readonly address: string;
  readonly httpPort: number;
  readonly dataDir: string;
  readonly child: Child;
  /** Starts it anew on the same ports and data. */
  restart(options?: { readonly forget?: boolean }): Promise<TestConsul>;
}

/** Starts a server that is its own cluster; `config` is merged into its configuration. */
export async function startConsul(
  t: Pick<TestContext, 'after'>,
  config: Readonly<Record<string, unknown>> = {},
  fixed?: { readonly ports: readonly number[]; readonly dir: string },
): Promise<TestConsul> {
  const dir = fixed?.dir ?? (await tempDir(t));
  const ports = fixed?.ports ?? (await freePorts(5));
  const [httpPort = 0, serverPort = 0, serfLan = 0, serfWan = 0, dns = 0] = ports;
  const file = join(dir, 'consul.json');
  await writeFile(
    file,
    JSON.stringify({
      server: true,
      bootstrap: true,
      node_name: 'server',
      bind_addr: '127.0.0.1',
      client_addr: '127.0.0.1',
      data_dir: join(dir, 'data'),
      disable_update_check: true,
      log_level: 'warn',
      limits: { http_max_conns_per_client: 2000 },
      performance: { raft_multiplier: 1 },
      ports: { http: httpPort, server: serverPort, serf_lan: serfLan, serf_wan: serfWan, dns, grpc: -1 },
      ...config,
    }),
  );
  const child = startChild(t, consulBinary(), ['agent', '-config-file', file]);
  const address = `http://127.0.0.1:${httpPort}`;
  await eventually('Consul has a leader', async () => {
    if (child.process.exitCode !== null) throw new Error(child.output());
    const leader = (await (await fetch(`${address}/v1/status/leader`)).json()) as string;
    return leader !== '';
  });
  return {
    address,
    httpPort,
    dataDir: join(dir, 'data'),
    child,
    restart: async ({ forget = false } = {}) => {
      await child.stop('SIGKILL');
      return startConsul(t, config, { ports, dir: forget ? await tempDir(t) : dir });
    },
  };
}
