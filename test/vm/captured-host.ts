/**
 * A host whose traffic is captured in every way, as agent.yaml can say it, and another machine that calls it and is called:
 * who arrives where, and past which proxy, as both ends of a connection see it.
 */
import { parse, stringify } from 'yaml';
import type { CaptureReport } from '../../src/api/capture.ts';
import { eventually } from '../support/eventually.ts';
import type { Fleet, FleetHost } from './fleet.ts';
import type { Machine } from './machine.ts';

const HOST = '10.77.0.3';
const ENVOY = { concurrency: 1, drainTime: '2s' };

/** Where the applications of the captured host listen, as seen from other machines. */
export const APPLICATIONS = { orders: 8080, billing: 8081, open: 8282, closed: 8283 } as const;
export type ServiceName = keyof typeof APPLICATIONS;
/** An application that agent.yaml does not name. */
export const STRANGER = 8090;

/** orders and billing are captured both ways and have identities of their own; the others have Envoy before them. */
export const CAPTURED_HOST: FleetHost = {
  name: 'cap',
  number: 3,
  isConfirmed: false,
  applications: [
    { unit: 'orders', listen: `0.0.0.0:${APPLICATIONS.orders}` },
    { unit: 'billing', listen: `0.0.0.0:${APPLICATIONS.billing}` },
    { unit: 'open', listen: `0.0.0.0:${APPLICATIONS.open}` },
    { unit: 'closed', listen: `127.0.0.1:${APPLICATIONS.closed}` },
    { unit: 'stranger', listen: `127.0.0.1:${STRANGER}` },
  ],
  agent: {
    services: [
      { name: 'orders', port: 8080, protocol: 'HTTP', capture: 'tproxy', unit: 'orders.service' },
      { name: 'billing', port: 8081, protocol: 'HTTP', capture: 'redirect', unit: 'billing.service' },
      { name: 'open', port: 8082, protocol: 'HTTP', application: `${HOST}:${APPLICATIONS.open}` },
      { name: 'closed', port: 8083, protocol: 'HTTP', mode: 'full', application: `127.0.0.1:${APPLICATIONS.closed}` },
      { name: 'burst', unit: 'burst.service' },
    ],
    upstreams: [{ service: 'payments' }],
    capture: { outbound: 'listed' },
    envoy: ENVOY,
  },
};

/** Of the other machine: a service of the mesh, by name and by address, and programs that have nothing to do with it. */
export const PAYMENTS = 'http://payments.default.mesh:9280/';
export const PLAIN = 'http://10.77.0.2:9999/';
export const SSH = 'http://10.77.0.2:22/';
export const METADATA = 'http://169.254.169.254/';

const PROGRAMS = [
  { unit: 'payments', listen: '127.0.0.1:9280' },
  { unit: 'plain', listen: '0.0.0.0:9999' },
  { unit: 'ssh-like', listen: '0.0.0.0:22' },
  { unit: 'metadata', listen: '169.254.169.254:80' },
];

async function startProgram(machine: Machine, unit: string, listen: string): Promise<void> {
  await machine.run(
    `systemd-run -q --unit=${unit} -p Restart=always --setenv=NAME=${unit} --setenv=LISTEN=${listen} python3 /fleet/app.py`,
  );
}

/** Makes the server of the fleet a host of the mesh too, with what the captured one calls. */
export async function startOther(fleet: Fleet): Promise<Machine> {
  const other = fleet.server;
  await other.run('ip address add 169.254.169.254/32 dev lo');
  for (const { unit, listen } of PROGRAMS) await startProgram(other, unit, listen);
  await fleet.host('cap').run(`ip route add 169.254.169.254/32 via ${other.address}`);
  await other.write(
    '/etc/trysail/agent.yaml',
    stringify({ services: [{ name: 'payments', port: 9280, protocol: 'HTTP' }], envoy: ENVOY }),
  );
  await other.run(`trysail join --token ${await fleet.token()}`, { timeoutMs: 300_000 });
  return other;
}

/** How a connection came to an application. */
export type Way = 'direct' | 'proxied' | 'refused';

interface Seen {
  readonly peer: string;
  readonly peerPort: number;
  readonly caller: string | null;
}

/** How a connection of the other machine comes to a port of the host, and whom the application takes for its caller. */
export async function arrive(other: Machine, port: number): Promise<{ readonly way: Way; readonly peer?: string }> {
  const { code, stdout } = await other.try(
    `curl -sS -m 8 -w '\\n%{local_ip} %{local_port}' http://${HOST}:${port}/ 2>/dev/null`,
  );
  if (code !== 0) return { way: 'refused' };
  const lines = stdout.trim().split('\n');
  const { peer, peerPort } = JSON.parse(lines[0] ?? '') as Seen;
  // Nobody else has this address and port: then there is one connection from end to end.
  return { way: `${peer} ${peerPort}` === lines.at(-1) ? 'direct' : 'proxied', peer };
}

/** What becomes of a call of an application of the host. */
export interface Called {
  readonly status: number;
  /** Whom the other end takes for the caller, of a call that was answered. */
  readonly account?: string;
  /** How the system says why not. */
  readonly why?: string;
}

/** Has an application of the host, which listens on `port`, call a URL from its own process. */
export async function callFrom(host: Machine, port: number, url: string): Promise<Called> {
  const query = new URLSearchParams({ url });
  const text = await host.run(`curl -sS -m 15 'http://127.0.0.1:${port}/call?${query.toString()}'`);
  const { status, body } = JSON.parse(text) as { readonly status: number; readonly body: string };
  if (status !== 200) return { status, why: body.trim() };
  const account = /sa\/([^;,]+)$/.exec(/URI=([^;,]+)/.exec((JSON.parse(body) as Seen).caller ?? '')?.[1] ?? '')?.[1];
  return { status, ...(account === undefined ? {} : { account }) };
}

/** Whether a plain call of an application, answered, went through Envoy: by the owner of its connections. */
export async function passesEnvoy(host: Machine, port: number, url: string): Promise<boolean> {
  const before = await callsOf(host);
  const { status, why } = await callFrom(host, port, url);
  if (status !== 200) throw new Error(`${url}: ${status} ${why ?? ''}`);
  return (await callsOf(host)) > before;
}

/** How many connections the capture ports of callers have taken. */
async function callsOf(host: Machine): Promise<number> {
  const text = await host.run(
    `curl -s --unix-socket /run/trysail-envoy/admin.sock 'http://envoy/stats?filter=downstream_cx_total'`,
  );
  const counts = [...text.matchAll(/^listener\.(?:127\.0\.0\.1|\[__1\])_15[01]01\.downstream_cx_total: (\d+)$/gm)];
  if (counts.length === 0) throw new Error(`no listeners of callers:\n${text}`);
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** `trysail capture …`, as data. */
export async function capture(host: Machine, line: string): Promise<CaptureReport> {
  return JSON.parse(await host.run(`trysail capture ${line} -o json`)) as CaptureReport;
}

/** Our tables in the kernel of the host. */
export async function tables(host: Machine): Promise<readonly string[]> {
  const { stdout } = await host.try("nft list tables | grep -o 'trysail.*'");
  return stdout.split('\n').filter((line) => line !== '');
}

export async function untilState(host: Machine, state: CaptureReport['state'], timeoutMs = 180_000): Promise<void> {
  await eventually(
    `capture is ${state}`,
    async () => {
      const report = await capture(host, 'status');
      if (report.state !== state) throw new Error(JSON.stringify(report));
    },
    timeoutMs,
  );
}

/** Changes agent.yaml and has it read. */
export async function reload(host: Machine, changes: Readonly<Record<string, unknown>>): Promise<void> {
  const path = '/etc/trysail/agent.yaml';
  const before = parse(await host.run(`cat ${path}`)) as Record<string, unknown>;
  await host.write(path, stringify({ ...before, ...changes }));
  await host.run('trysail reload');
}

/** What would still be there of capture: tables, rules of routing, addresses, files. */
export async function traces(host: Machine): Promise<string> {
  return (
    await host.run(
      `nft list tables; ip rule | grep -i 539; ip -6 rule | grep -i 539; ip route show table 133 2>/dev/null; ip -6 address show dev lo | grep ' ::6/'; ls /var/lib/trysail/capture-guard.nft 2>/dev/null; true`,
    )
  ).trim();
}
