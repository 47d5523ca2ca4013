/**
 * Two joined hosts for the benchmark of virtual machines: `east` calls, `west` has the application. Beside Trysail both run
 * a plain Envoy with the smallest hand-written configuration for the same work, and the application can be dialled directly.
 */

import { join } from 'node:path';
import { build } from 'esbuild';
import { createTestRoot } from '../test/support/certificates.ts';
import { eventually } from '../test/support/eventually.ts';
import { type Fleet, type FleetHost, startFleet, untilWell } from '../test/vm/fleet.ts';
import type { Machine } from '../test/vm/machine.ts';
import { minimalApplication, minimalClient, minimalServer } from './minimal-envoy.ts';
import type { BenchOwner } from './owner.ts';

/** What is installed first, and what it is upgraded to: the same Envoy, and another one. */
export const VERSIONS = ['0.1.0', '0.1.1', '0.1.2'] as const;
export const NODE = '/usr/lib/trysail/node';
const ENVOY = '/usr/lib/trysail/envoy';
const WEST = '10.77.0.4';
const APPLICATION_PORT = 8000;
/** The same application past any proxy. */
const DIRECT_PORT = 8001;
const CAPTURED_PORT = 8081;
const MINIMAL_PORT = 8090;
/** Its calls are captured, and nobody else's. */
const CAPTURED_USER = 'nobody';
/** The unit of the plain Envoy. */
export const MINIMAL_UNIT = 'minimal';
/** The longest that a hot restart keeps the old Envoy. */
const DRAIN_TIME = '5s';

const EAST_AGENT = {
  callAs: 'default/caller',
  services: [{ name: 'caller' }, { name: 'watcher', mode: 'observe' }, { name: 'captive', user: CAPTURED_USER }],
  upstreams: [
    { service: 'backend', listen: '127.0.0.1:9001', callAs: 'default/caller' },
    { service: 'watched', listen: '127.0.0.1:9002', callAs: 'default/watcher' },
    { service: 'captured' },
  ],
  capture: { outbound: 'listed' },
  envoy: { concurrency: 1, drainTime: DRAIN_TIME },
};

const WEST_AGENT = {
  services: [
    { name: 'backend', port: 8080, protocol: 'HTTP', application: `127.0.0.1:${APPLICATION_PORT}` },
    { name: 'watched', port: 8082, protocol: 'HTTP', application: `127.0.0.1:${APPLICATION_PORT}`, mode: 'observe' },
    { name: 'captured', port: CAPTURED_PORT, protocol: 'HTTP', capture: 'redirect' },
  ],
  envoy: { concurrency: 1, drainTime: DRAIN_TIME },
};

/** A way from `east` to the application. */
export interface Way {
  readonly name: 'direct' | 'minimal' | 'upstream' | 'captured' | 'observe';
  readonly url: string;
  /** Whose Envoys carry it, on both hosts. */
  readonly unit: string | undefined;
  /** As whom the client runs. */
  readonly user: string;
}

/** Every way does the same, one after the other in each round. */
export const WAYS: readonly Way[] = [
  { name: 'direct', url: `http://${WEST}:${DIRECT_PORT}/`, unit: undefined, user: 'root' },
  { name: 'minimal', url: 'http://127.0.0.1:9100/', unit: MINIMAL_UNIT, user: 'root' },
  { name: 'upstream', url: 'http://127.0.0.1:9001/', unit: 'trysail-envoy', user: 'root' },
  { name: 'captured', url: `http://captured.mesh:${CAPTURED_PORT}/`, unit: 'trysail-envoy', user: CAPTURED_USER },
  { name: 'observe', url: 'http://127.0.0.1:9002/', unit: 'trysail-envoy', user: 'root' },
];

export interface VmHosts {
  readonly fleet: Fleet;
  readonly east: Machine;
  readonly west: Machine;
}

/** Installs a unit that runs a static Envoy with one worker, and starts it. */
async function startEnvoyUnit(machine: Machine, name: string, config: object): Promise<void> {
  await machine.write(`/bench/${name}.json`, JSON.stringify(config));
  await machine.write(
    `/etc/systemd/system/${name}.service`,
    `[Service]
ExecStart=${ENVOY} -c /bench/${name}.json --concurrency 1 --disable-hot-restart --log-level error
[Install]
WantedBy=multi-user.target
`,
  );
  await machine.run(`systemctl daemon-reload && systemctl enable -q --now ${name}`);
}

async function startMinimal(east: Machine, west: Machine): Promise<void> {
  const root = await createTestRoot();
  const identity = await root.issue('spiffe://cluster.local/ns/default/sa/bench');
  const tls = { certificateFile: '/bench/cert.pem', keyFile: '/bench/key.pem', rootFile: '/bench/root.pem' };
  for (const machine of [east, west]) {
    await machine.write(tls.certificateFile, identity.certificatePem);
    await machine.write(tls.keyFile, identity.privateKeyPem, 0o600);
    await machine.write(tls.rootFile, root.rootPem);
  }
  const peer = { address: WEST, port: MINIMAL_PORT };
  await startEnvoyUnit(west, MINIMAL_UNIT, minimalServer(peer, APPLICATION_PORT, tls));
  await startEnvoyUnit(east, MINIMAL_UNIT, minimalClient(9100, peer, tls));
}

/** The clients, with what they import in one file: a test machine has no `node_modules`. */
async function copyClients(machine: Machine, dir: string): Promise<void> {
  for (const name of ['load-client', 'pause-client']) {
    const outfile = join(dir, `${name}.mjs`);
    const entry = join(import.meta.dirname, `${name}.ts`);
    const banner = {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    };
    await build({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', banner });
    await machine.copyIn(outfile, `/bench/${name}.mjs`);
  }
}

/** Whether the way answers with 200. */
async function answers(east: Machine, { url, user }: Way): Promise<boolean> {
  const { stdout } = await east.try(`runuser -u ${user} -- curl -s -m 2 -o /dev/null -w '%{http_code}' ${url}`);
  return stdout === '200';
}

/** Figures of mutual TLS are worth nothing where there is none. @throws Error when a way is not as it is named */
async function assertWays(east: Machine): Promise<void> {
  const handshakes = await east.run(
    "curl -sSf --unix-socket /run/trysail-envoy/admin.sock 'http://envoy/stats?filter=ssl.handshake'",
  );
  const secured = (service: string): boolean =>
    new RegExp(`\\|${service}\\.default\\.mesh;?\\.ssl\\.handshake: [1-9]`).test(handshakes);
  // Captured as well: nobody listens at its address, and its application speaks no TLS.
  for (const service of ['backend', 'captured'])
    if (!secured(service)) throw new Error(`bench: calls to ${service} are not mutual TLS:\n${handshakes}`);
  if (secured('watched')) throw new Error('bench: calls to the observed service are mutual TLS');
}

/** Boots, installs, joins; resolves when the application answers on every way. `dir` is for files of this run. */
export async function startHosts(owner: BenchOwner, dir: string): Promise<VmHosts> {
  const host = (name: string, number: number, agent: FleetHost['agent']): FleetHost => ({
    name,
    number,
    agent,
    applications: [],
  });
  const fleet = await startFleet(owner, {
    hosts: [host('east', 3, EAST_AGENT), host('west', 4, WEST_AGENT)],
    versions: VERSIONS,
    released: { [VERSIONS[2]]: 1_700_000_000 },
  });
  const [east, west] = [fleet.host('east'), fleet.host('west')];
  await startEnvoyUnit(
    west,
    'application',
    minimalApplication(
      APPLICATION_PORT,
      { address: WEST, port: DIRECT_PORT },
      { address: '0.0.0.0', port: CAPTURED_PORT },
    ),
  );
  await startMinimal(east, west);
  await copyClients(east, dir);
  for (const machine of [east, west]) await machine.run('trysail capture apply --confirmed');
  for (const machine of [east, west]) await untilWell(machine);
  for (const way of WAYS) await eventually(`the application answers (${way.name})`, () => answers(east, way), 30_000);
  await assertWays(east);
  return { fleet, east, west };
}
