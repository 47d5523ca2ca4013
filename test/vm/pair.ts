/**
 * A small mesh of machines for tests of what happens to a host: `hub` has Consul's server and the CA, `east` and `west` are
 * joined hosts that both run the same three services and call them at loopback ports.
 */
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import type { TestContext } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { consulBinary } from '../support/tools.ts';
import type { LoadResult } from './fixtures/load.ts';
import type { Machine } from './machine.ts';
import { joinToken, statusOf, untilCaAnswers, untilConsulLeads } from './mesh-machines.ts';
import { type MachineNetwork, startNetwork } from './network.ts';

/** Where the applications listen, HTTP/1.1, HTTP/2, TCP: this port and the two after it. */
const APPLICATION_PORT = 8000;
/** Where the services are called, in the same order. */
export const CALL_PORT = 9000;
const NODE = '/usr/lib/trysail/node';

export interface Pair {
  readonly network: MachineNetwork;
  readonly hub: Machine;
  readonly east: Machine;
  readonly west: Machine;
}

export interface PairOptions {
  /** Folder with packages, seen as /packages there. */
  readonly packages: string;
  /** Installs the package on a machine: a line of shell. */
  readonly install: (machine: string) => string;
  /** Default: `AGENT_YAML`. */
  readonly agentYaml?: string;
  /** Further lines of `ca` in server.yaml, indented by two. */
  readonly caYaml?: string;
  /** Istio resources of both hosts. */
  readonly resources?: string;
  /** On each host, before Trysail is installed there. */
  readonly beforeInstall?: (host: Machine) => Promise<void>;
}

const CONSUL_UNIT = (args: string): string => `[Service]
ExecStart=/consul/consul agent -data-dir=/var/lib/consul -log-level=warn ${args}
KillSignal=SIGINT
[Install]
WantedBy=multi-user.target
`;

const APPLICATION_UNIT = (name: string): string => `[Service]
ExecStart=${NODE} /fixtures/echoes.ts ${name} ${APPLICATION_PORT}
Restart=always
RestartSec=0.2
[Install]
WantedBy=multi-user.target
`;

/** agent.yaml of both hosts before they join. A drain is several of the five seconds in which Envoy counts connections. */
export const AGENT_YAML = `envoy: { drainTime: 20s }
callAs: default/web
services:
  - { name: web, port: 8080, protocol: HTTP, application: "127.0.0.1:8000", check: { http: /, interval: 1s } }
  - { name: web2, port: 8081, protocol: HTTP2, application: "127.0.0.1:8001", check: { tcp: true, interval: 1s } }
  - { name: echo, port: 8082, protocol: TCP, application: "127.0.0.1:8002", check: { tcp: true, interval: 1s } }
upstreams:
  - { service: web, listen: "127.0.0.1:${CALL_PORT}" }
  - { service: web2, listen: "127.0.0.1:${CALL_PORT + 1}" }
  - { service: echo, listen: "127.0.0.1:${CALL_PORT + 2}" }
`;

async function startUnit(machine: Machine, name: string, text: string): Promise<void> {
  await machine.write(`/etc/systemd/system/${name}.service`, text);
  await machine.run(`systemctl daemon-reload; systemctl enable -q --now ${name}`);
}

async function startHub(hub: Machine, { install, caYaml = '' }: PairOptions): Promise<void> {
  await startUnit(hub, 'consul', CONSUL_UNIT(`-server -bootstrap-expect=1 -bind=${hub.address} -client=0.0.0.0`));
  await hub.run(install(hub.name), { timeoutMs: 300_000 });
  await hub.run('trysail ca init --trust-domain prod.example');
  await hub.write('/etc/trysail/server.yaml', `ca:\n  dir: /var/lib/trysail-ca\n  names: [${hub.address}]\n${caYaml}`);
  await hub.run('systemctl enable -q --now trysail-server');
  await untilCaAnswers(hub);
}

async function prepareHost(host: Machine, hub: Machine, options: PairOptions): Promise<void> {
  await startUnit(host, 'consul', CONSUL_UNIT(`-bind=${host.address} -retry-join=${hub.address} -retry-interval=1s`));
  await untilConsulLeads(host);
  await options.beforeInstall?.(host);
  await host.run(options.install(host.name), { timeoutMs: 300_000 });
  await startUnit(host, 'application', APPLICATION_UNIT(host.name));
  await host.write('/etc/trysail/agent.yaml', options.agentYaml ?? AGENT_YAML);
  if (options.resources !== undefined) await host.write('/etc/trysail/resources.d/test.yaml', options.resources);
}

/** By one command, as an operator does it. */
export async function joinHost(host: Machine, hub: Machine): Promise<void> {
  const { code, stdout, stderr } = await host.try(`echo ${await joinToken(hub)} | trysail join --token-file -`, {
    timeoutMs: 300_000,
  });
  if (code !== 0) throw new Error(`${stdout}${stderr}\n${await host.journal("'trysail*'")}`);
}

/** Boots the machines and joins the hosts; takes some 20 seconds. */
export async function startPair(t: Pick<TestContext, 'after'>, options: PairOptions): Promise<Pair> {
  const network = await startNetwork(t);
  const fixtures = `${import.meta.dirname}/fixtures`;
  const binds = { [options.packages]: '/packages', [dirname(consulBinary())]: '/consul', [fixtures]: '/fixtures' };
  const boot = async (name: string, number: number): Promise<Machine> =>
    network.machine({ name, number, diskMb: 1500, binds });
  const [hub, east, west] = await Promise.all([boot('hub', 2), boot('east', 3), boot('west', 4)]);
  await Promise.all([startHub(hub, options), prepareHost(east, hub, options), prepareHost(west, hub, options)]);
  await Promise.all([joinHost(east, hub), joinHost(west, hub)]);
  const pair = { network, hub, east, west };
  for (const host of [east, west]) await untilCalled(host, ['east', 'west']);
  return pair;
}

/** Waits until calls from `host` have been answered by all `names`, HTTP/1.1 and TCP. */
export async function untilCalled(host: Machine, names: readonly string[]): Promise<void> {
  await eventually(`${host.name} reaches ${names.join(' and ')}`, async () => {
    const seen = await host.run(
      `for i in 1 2 3 4 5 6 7 8; do curl -sSf -m 2 http://127.0.0.1:${CALL_PORT}/; echo; done | sort -u`,
    );
    if (seen.trim() !== [...names].sort().join('\n')) throw new Error(`only ${seen}`);
    await host.run(`exec 3<>/dev/tcp/127.0.0.1/${CALL_PORT + 2}; echo x >&3; read -r -t 2 line <&3; [ "$line" = x ]`);
  });
}

export interface RunningLoad {
  /** Ends it; resolves to all that it saw. */
  stop(): Promise<LoadResult>;
}

/** Load of all three kinds on `host`, by its own Envoy to the services of both hosts. */
export async function startLoad(host: Machine): Promise<RunningLoad> {
  await host.run(
    `rm -f /root/load.json; systemd-run -q --unit=load ${NODE} /fixtures/load.ts 127.0.0.1 ${CALL_PORT} /root/load.json; sleep 1`,
  );
  return {
    stop: async () => {
      await host.run('systemctl stop load');
      return JSON.parse(await host.run('cat /root/load.json')) as LoadResult;
    },
  };
}

/** The figures of a load in a line. */
export function loadText({ done, longestMs, by }: LoadResult): string {
  const kinds = Object.keys(done).map((kind) => `${kind} ${done[kind]} (longest ${longestMs[kind]} ms)`);
  const names = Object.entries(by).filter(([name]) => name !== 'tcp');
  return `${kinds.join(', ')}; by ${names.map(([name, count]) => `${name} ${count}`).join(', ')}`;
}

/** Load on these hosts, to all hosts, while `change` happens; says its figures. Rejects with what `change` rejects with. */
export async function underLoad(
  t: Pick<TestContext, 'diagnostic'>,
  hosts: readonly Machine[],
  what: string,
  change: () => Promise<void>,
): Promise<readonly LoadResult[]> {
  const loads = await Promise.all(hosts.map(startLoad));
  const began = performance.now();
  // The load ends whatever happens.
  const [changed] = await Promise.allSettled([change()]);
  const seconds = Math.round((performance.now() - began) / 1000);
  const results = await Promise.all(loads.map(async (load) => load.stop()));
  if (changed.status === 'rejected') throw changed.reason;
  for (const [i, result] of results.entries())
    t.diagnostic(`${what}, ${seconds} s of load on ${hosts[i]?.name}: ${loadText(result)}`);
  return results;
}

/** Asserts that there were requests of all kinds, and that each was answered. */
export function assertNoneFailed(results: readonly LoadResult[]): void {
  assert.deepEqual(results.flatMap(({ failures }) => failures).slice(0, 20), []);
  for (const result of results)
    for (const kind of ['http', 'http2', 'tcp']) assert.ok((result.done[kind] ?? 0) > 10, loadText(result));
}

/** Waits until the agent runs and Envoy serves, whatever else is wrong. */
export async function untilRuns(host: Machine): Promise<void> {
  await eventually(`the agent of ${host.name} runs`, async () => {
    const { agent, envoy } = await statusOf(host);
    if (agent.state !== 'running' || !envoy.ready) throw new Error(`${agent.state}, ${envoy.state}`);
  });
}
