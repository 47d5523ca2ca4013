/**
 * A small real mesh on loopback: one CA server and any number of hosts, each a `trysail agent` process of its own with
 * its Envoy. Used by the end-to-end tests and the benchmarks.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { Status } from '../../src/api/status.ts';
import { type Child, startChild } from './child.ts';
import { eventually } from './eventually.ts';
import { freePort, freePorts } from './ports.ts';
import { envoyBinary, ROOT } from './tools.ts';

const run = promisify(execFile);
type Owner = Pick<TestContext, 'after'>;

/** The program as it stands in the checkout, or the bundle that `TRYSAIL_PROGRAM` names. */
export const program = (): string => process.env['TRYSAIL_PROGRAM'] ?? join(ROOT, 'scripts/trysail');

/** Runs a command to its end; throws with its output when it fails. */
export async function trysail(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(program(), args, { timeout: 180_000 });
  return stdout;
}

export interface LocalCa {
  readonly dir: string;
  readonly address: string;
  readonly child: Child;
  /** A token for the given `namespace/serviceAccount` patterns. */
  token(...allow: readonly string[]): Promise<string>;
  restart(): Promise<void>;
}

/** Makes a CA in `dir` and serves it on a free port of 127.0.0.1. */
export async function startCa(t: Owner, dir: string, trustDomain = 'cluster.local'): Promise<LocalCa> {
  const caDir = join(dir, 'ca');
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  await trysail('ca', 'init', '--dir', caDir, '--trust-domain', trustDomain);
  const config = join(dir, 'server.yaml');
  await writeFile(config, JSON.stringify({ ca: { dir: caDir, listen: address, names: ['127.0.0.1', 'localhost'] } }));
  const start = async (): Promise<Child> => {
    const child = startChild(t, program(), ['server', '--roles', 'ca', '--config', config]);
    await eventually('the CA listens', async () => {
      if (child.process.exitCode !== null) throw new Error(child.output());
      const { connect } = await import('node:net');
      await new Promise<void>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => {
          socket.destroy();
          resolve();
        });
        socket.once('error', reject);
      });
    });
    return child;
  };
  const ca = {
    dir: caDir,
    address,
    child: await start(),
    token: async (...allow: readonly string[]) =>
      (
        await trysail(
          'token',
          'create',
          '--dir',
          caDir,
          '--ca-address',
          address,
          ...allow.flatMap((a) => ['--allow', a]),
        )
      ).trim(),
    restart: async () => {
      await ca.child.stop();
      ca.child = await start();
    },
  };
  return ca;
}

/** A service as agent.yaml has it. */
export interface LocalService {
  readonly name: string;
  readonly namespace?: string;
  readonly serviceAccount?: string;
  readonly [setting: string]: unknown;
}

export interface LocalHostOptions {
  readonly name: string;
  /** Loopback address of the host, such as `127.0.7.1`. */
  readonly address: string;
  readonly dir: string;
  readonly resources: string;
  readonly services?: readonly LocalService[];
  readonly upstreams?: readonly Readonly<Record<string, unknown>>[];
  readonly ca?: LocalCa | undefined;
  /** Consul's address; `registry: files` without. */
  readonly consul?: string | undefined;
  readonly meshConfig?: Readonly<Record<string, unknown>>;
  /** Merged over what the other options make of agent.yaml. */
  readonly overrides?: Readonly<Record<string, unknown>>;
}

export interface LocalHost {
  readonly dir: string;
  readonly configFile: string;
  readonly stateDir: string;
  readonly runDir: string;
  child: Child;
  /** `trysail status -o json`, parsed; the exit code is not looked at. */
  status(): Promise<Status>;
  start(): void;
  /** Waits until the agent says that it is ready. */
  ready(): Promise<void>;
}

/** Writes a host's files and starts its agent; at the end of the test the agent and its Envoy are gone. */
export async function startHost(t: Owner, options: LocalHostOptions): Promise<LocalHost> {
  const { name, address, ca, consul, services = [] } = options;
  const dir = join(options.dir, name);
  const stateDir = join(dir, 'state');
  const runDir = join(dir, 'run');
  await mkdir(dir, { recursive: true });
  await mkdir(options.resources, { recursive: true });
  const [healthPort = 0] = await freePorts(1, address);
  let identity: Record<string, unknown> = { provider: 'none' };
  if (ca !== undefined) {
    const tokenFile = join(dir, 'join.token');
    const accounts = services.map(
      ({ namespace = 'default', name, serviceAccount = name }) => `${namespace}/${serviceAccount}`,
    );
    await writeFile(tokenFile, await ca.token(...accounts), { mode: 0o600 });
    identity = { provider: 'trysail-ca', ca: { address: ca.address, joinTokenFile: tokenFile } };
  }
  const meshFile = join(dir, 'meshconfig.yaml');
  await writeFile(meshFile, JSON.stringify(options.meshConfig ?? {}));
  const configFile = join(dir, 'agent.yaml');
  await writeFile(
    configFile,
    JSON.stringify({
      host: { name, address },
      mesh: { config: meshFile, resources: options.resources },
      ...(consul === undefined ? { registry: 'files' } : { registry: 'consul', consul: { address: consul } }),
      identity,
      services,
      upstreams: options.upstreams ?? [],
      envoy: { binary: envoyBinary(), concurrency: 1, healthListener: `${address}:${healthPort}`, drainTime: '1s' },
      paths: { state: stateDir, run: runDir },
      ...options.overrides,
    }),
  );
  const start = (): Child => startChild(t, program(), ['agent', '--config', configFile]);
  const host: LocalHost = {
    dir,
    configFile,
    stateDir,
    runDir,
    child: start(),
    status: async () => {
      const { stdout } = await run(program(), ['status', '--socket', join(runDir, 'api.sock'), '-o', 'json'], {
        timeout: 30_000,
      }).catch((error: unknown) => error as { stdout: string });
      return JSON.parse(stdout) as Status;
    },
    start: () => {
      host.child = start();
    },
    ready: async () => {
      await eventually(`${name} is ready`, async () => {
        if (host.child.process.exitCode !== null) throw new Error(host.child.output());
        const status = await host.status().catch((error: unknown) => {
          throw new Error(host.child.output(), { cause: error });
        });
        if (!status.envoy.ready) {
          throw new Error(`${JSON.stringify(status.envoy)}\n${host.child.output()}`);
        }
      });
    },
  };
  return host;
}
