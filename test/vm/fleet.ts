/**
 * A small fleet on real systemd: a machine with the Consul server and the CA, and machines with a Consul client, the
 * package, applications as ordinary units, joined by token. What several tests of a host's life start from.
 */
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import { eventually } from '../support/eventually.ts';
import { consulBinary } from '../support/tools.ts';
import type { Machine } from './machine.ts';
import { joinToken, untilCaAnswers, untilConsulLeads } from './mesh-machines.ts';
import { type MachineNetwork, startNetwork } from './network.ts';
import { buildPackages, VERSIONS } from './packages.ts';

export const TRUST_DOMAIN = 'prod.example';
const PROGRAMS = join(import.meta.dirname, 'programs');
const INSTALL_MS = 300_000;
const JOIN_MS = 300_000;
const DISK_MB = 1500;
const SERVER_NUMBER = 2;
const SERVER_ADDRESS = `10.77.0.${SERVER_NUMBER}`;

/** An application: `programs/app.py` as the unit `<unit>.service`, started with the machine. */
export interface FleetApplication {
  readonly unit: string;
  /** Address and port. */
  readonly listen: string;
  /** What it says of itself. Default: the unit's name and v1. */
  readonly name?: string;
  readonly version?: string;
  /** URLs that it asks when it is asked for /chain. */
  readonly peers?: readonly string[];
}

export interface FleetHost {
  /** At most 11 characters. */
  readonly name: string;
  /** Last number of its address 10.77.0.x, from 3. */
  readonly number: number;
  readonly applications: readonly FleetApplication[];
  /** agent.yaml as its user writes it before the join; `join` adds the rest. */
  readonly agent: Readonly<Record<string, unknown>>;
  /** Whether its capture is applied and confirmed after the join. Default: true. */
  readonly isConfirmed?: boolean;
}

export interface FleetOptions {
  readonly hosts: readonly FleetHost[];
  /** Versions of the package that are made; the first one is installed. Default: one. */
  readonly versions?: readonly string[];
  /** Versions whose Envoy is another one; as of `buildPackages`. */
  readonly released?: Readonly<Record<string, number>>;
  /** Files of `/etc/trysail/resources.d` on every host: name → YAML. */
  readonly resources?: Readonly<Record<string, string>>;
  /** meshconfig.yaml besides the trust domain, as the CA hands it out. */
  readonly meshConfig?: Readonly<Record<string, unknown>>;
  /** `ca` of server.yaml besides the folder and the names. */
  readonly ca?: Readonly<Record<string, unknown>>;
  /** Identities that the hosts may have, as join tokens say it. Default: all of `default`. */
  readonly allow?: readonly string[];
}

export interface Fleet {
  readonly network: MachineNetwork;
  /** Consul server and CA (consul.service, trysail-server.service), 10.77.0.2. */
  readonly server: Machine;
  /** By name. */
  host(name: string): Machine;
  /** What `trysail join` printed on a host. */
  joined(name: string): string;
  /** A fresh join token, good for one host. */
  token(...allow: readonly string[]): Promise<string>;
  /** Writes a file of `/etc/trysail/resources.d` on every host, or on the named ones. */
  apply(file: string, yaml: string, hosts?: readonly string[]): Promise<void>;
}

const CONSUL_UNIT = `[Unit]
Description=Consul
Wants=network-online.target
After=network-online.target
[Service]
ExecStart=/consul/consul agent -config-file=/etc/consul.json
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
LimitNOFILE=65536
[Install]
WantedBy=multi-user.target
`;

async function startConsul(machine: Machine, config: Readonly<Record<string, unknown>>): Promise<void> {
  const all = {
    node_name: machine.name,
    bind_addr: machine.address,
    client_addr: '127.0.0.1',
    data_dir: '/var/lib/consul',
    disable_update_check: true,
    log_level: 'warn',
    ports: { dns: -1 },
    limits: { http_max_conns_per_client: 2000 },
    ...config,
  };
  await machine.write('/etc/consul.json', JSON.stringify(all));
  await machine.write('/etc/systemd/system/consul.service', CONSUL_UNIT);
  await machine.run('systemctl daemon-reload && systemctl enable -q --now consul');
}

async function startApplication(machine: Machine, application: FleetApplication): Promise<void> {
  const { unit, listen, name = unit, version = 'v1', peers = [] } = application;
  const environment = { NAME: name, VERSION: version, LISTEN: listen, PEERS: peers.join(' ') };
  await machine.write(
    `/etc/systemd/system/${unit}.service`,
    `[Unit]
Description=${name} ${version}
After=network.target
[Service]
User=nobody
${Object.entries(environment)
  .map(([key, value]) => `Environment="${key}=${value}"\n`)
  .join('')}ExecStart=/usr/bin/python3 /fleet/app.py
Restart=always
[Install]
WantedBy=multi-user.target
`,
  );
  await machine.run(`systemctl daemon-reload && systemctl enable -q --now ${unit}`);
}

/** Resolves when the agent is well: exit code 0 of `trysail status`, whose words are the error otherwise. */
export async function untilWell(machine: Machine, timeoutMs = 180_000): Promise<void> {
  await eventually(
    `${machine.name} is well`,
    async () => {
      const { code, stdout, stderr } = await machine.try('trysail status');
      if (code !== 0 || !/ is well\.$/m.test(stdout)) throw new Error(`exit code ${code}\n${stdout}${stderr}`);
    },
    timeoutMs,
  );
}

const versionsOf = (options: FleetOptions): readonly string[] => options.versions ?? [VERSIONS[0]];

async function install(machine: Machine, options: FleetOptions): Promise<void> {
  await machine.run(`dpkg -i /packages/trysail_${versionsOf(options)[0] ?? ''}_amd64.deb`, { timeoutMs: INSTALL_MS });
}

async function joinMesh(machine: Machine, token: string): Promise<string> {
  const { code, stdout, stderr } = await machine.try(`trysail join --token ${token}`, { timeoutMs: JOIN_MS });
  if (code !== 0)
    throw new Error(`${machine.name} did not join: ${stdout}${stderr}\n${await machine.journal("'trysail*'")}`);
  return stdout;
}

/** As an operator does it: puts the rules in force, looks whether the host is still there, and keeps them. */
async function confirmCapture(machine: Machine): Promise<void> {
  await eventually('the rules can go in', async () => machine.run('trysail capture apply'));
  await machine.run('trysail capture confirm');
}

async function startServer(machine: Machine, options: FleetOptions): Promise<void> {
  await startConsul(machine, {
    server: true,
    bootstrap_expect: 1,
    performance: { raft_multiplier: 1 },
  });
  await install(machine, options);
  await machine.run(`trysail ca init --trust-domain ${TRUST_DOMAIN}`);
  await machine.write(
    '/etc/trysail/server.yaml',
    stringify({
      ca: {
        dir: '/var/lib/trysail-ca',
        names: [machine.address],
        meshConfig: '/etc/trysail/meshconfig.yaml',
        ...options.ca,
      },
    }),
  );
  await machine.write(
    '/etc/trysail/meshconfig.yaml',
    stringify({ trustDomain: TRUST_DOMAIN, connectTimeout: '1s', ...options.meshConfig }),
  );
  await machine.run('systemctl enable -q --now trysail-server');
  await untilCaAnswers(machine);
}

async function startHost(machine: Machine, server: string, host: FleetHost, options: FleetOptions): Promise<void> {
  await startConsul(machine, { retry_join: [server], retry_interval: '1s' });
  for (const application of host.applications) await startApplication(machine, application);
  await install(machine, options);
  for (const [file, text] of Object.entries(options.resources ?? {}))
    await machine.write(`/etc/trysail/resources.d/${file}`, text);
  await machine.write('/etc/trysail/agent.yaml', stringify(host.agent));
  await untilConsulLeads(machine);
}

/** Boots everything at the same time, installs, and joins. Takes about a minute on two cores. */
export async function startFleet(t: Pick<TestContext, 'after'>, options: FleetOptions): Promise<Fleet> {
  const packages = await buildPackages(t, 'deb', versionsOf(options), options.released);
  const network = await startNetwork(t);
  const binds = { [packages]: '/packages', [dirname(consulBinary())]: '/consul', [PROGRAMS]: '/fleet' };
  const boot = async (name: string, number: number): Promise<Machine> =>
    network.machine({ name, number, diskMb: DISK_MB, binds });
  const server = boot('hub', SERVER_NUMBER).then(async (machine) => {
    await startServer(machine, options);
    return machine;
  });
  const token: Fleet['token'] = async (...allow) => joinToken(await server, allow.length > 0 ? allow : options.allow);
  const words = new Map<string, string>();
  const machines = new Map(
    await Promise.all(
      options.hosts.map(async (host): Promise<[string, Machine]> => {
        const machine = await boot(host.name, host.number);
        await startHost(machine, SERVER_ADDRESS, host, options);
        await server;
        await untilConsulLeads(machine);
        const said = await joinMesh(machine, await token());
        words.set(host.name, said);
        if (host.isConfirmed !== false && said.includes('trysail capture confirm')) await confirmCapture(machine);
        return [host.name, machine];
      }),
    ),
  );
  const host: Fleet['host'] = (name) => {
    const machine = machines.get(name);
    if (machine === undefined) throw new Error(`there is no machine ${name}`);
    return machine;
  };
  return {
    network,
    server: await server,
    host,
    joined: (name) => words.get(name) ?? '',
    token,
    apply: async (file, yaml, hosts = [...machines.keys()]) => {
      // As editors do it: never half a file.
      for (const name of hosts) {
        const path = `/etc/trysail/resources.d/${file}`;
        await host(name).write(`${path}.new`, yaml);
        await host(name).run(`mv ${path}.new ${path}`);
      }
    },
  };
}
