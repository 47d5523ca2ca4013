/** Packages made of this checkout for one test, and what tests of packages ask of a host. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { ROOT } from '../support/tools.ts';
import { outputOf } from './command.ts';
import type { Machine } from './machine.ts';

export type PackageKind = 'deb' | 'rpm' | 'tarball';

/** Two versions that differ by their number, as an upgrade sees them. */
export const VERSIONS = ['0.1.0', '0.1.1'] as const;

/**
 * Builds packages of a kind, uncompressed, one for each version; resolves to their folder. Takes some seconds.
 * @param released versions whose files are of another time, in seconds since 1970: what they bring is another Envoy to an
 * agent, though of the same bytes
 */
export async function buildPackages(
  t: Pick<TestContext, 'after'>,
  kind: PackageKind,
  versions: readonly string[] = VERSIONS,
  released: Readonly<Record<string, number>> = {},
): Promise<string> {
  const out = join(await tempDir(t), 'packages');
  await mkdir(out);
  await outputOf(join(ROOT, 'scripts/package-tools'), ['strip', ...(kind === 'rpm' ? ['rpmbuild'] : [])], {
    timeoutMs: 300_000,
  });
  for (const version of versions)
    await outputOf(
      'env',
      [
        ...(released[version] === undefined ? [] : [`SOURCE_DATE_EPOCH=${released[version]}`]),
        join(ROOT, 'scripts/node'),
        join(ROOT, 'scripts/package.ts'),
        '--fast',
        '--kinds',
        kind,
        '--package-version',
        version,
        '--out',
        out,
      ],
      { timeoutMs: 300_000 },
    );
  return out;
}

const CHANGES_BY_ITSELF = `
/proc /sys /dev /tmp /var/tmp /run /var/log /var/cache /root/.rpmdb /var/lib/rpm /var/lib/systemd /var/lib/consul /packages
/var/lib/dpkg/lock* /var/lib/dpkg/status* /var/lib/dpkg/triggers /var/lib/dpkg/available*
/etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/.pwd.lock
`
  .trim()
  .split(/\s+/);

/** All that a package could leave on a host: files with owners, modes and content, users, units, links, firewall rules. */
export async function hostState(machine: Machine): Promise<readonly string[]> {
  const prune = CHANGES_BY_ITSELF.map((path) => `-path '${path}'`).join(' -o ');
  const text = await machine.run(`
    find / -xdev \\( ${prune} \\) -prune -o -printf '%p %y %m %U %G %l\\n'
    find /etc /usr/lib/systemd /usr/local -type f ! -name '*-' -exec sha256sum {} +
    ls -A /run | grep -i trysail || true
    getent passwd; getent group
    systemctl list-unit-files --no-legend; systemctl list-units --all --plain --no-legend --type=service,path | awk '{print $1}' | grep -i trysail || true
    ip -o link | cut -d: -f2 | cut -d@ -f1; ip rule; nft list tables; resolvectl domain | grep -v '^Link [0-9]* (host0)'
    systemctl list-units --failed --no-legend`);
  return text.split('\n').sort();
}

/** What is in one state and not in the other. */
export function difference(before: readonly string[], after: readonly string[]): readonly string[] {
  const [had, has] = [new Set(before), new Set(after)];
  return [
    ...after.filter((line) => !had.has(line)).map((line) => `+ ${line}`),
    ...before.filter((line) => !has.has(line)).map((line) => `- ${line}`),
  ];
}

const SERVICES = (ports: readonly number[]): string =>
  ports
    .map((port) => `  - { name: web-${port}, port: ${port}, protocol: HTTP, application: "127.0.0.1:8000" }\n`)
    .join('');

/** Writes an agent.yaml that needs neither Consul nor a CA: one service a port, all the application on port 8000. */
export async function configure(machine: Machine, ports: readonly number[] = [8080]): Promise<void> {
  await machine.write(
    '/etc/trysail/agent.yaml',
    `registry: files\nidentity: { provider: none }\nservices:\n${SERVICES(ports)}`,
  );
}

/** Starts an application on port 8000 of loopback. */
export async function startApplication(machine: Machine): Promise<void> {
  await machine.run('mkdir -p /srv && echo hello > /srv/index.html');
  await machine.run('systemd-run -q --unit=application python3 -m http.server 8000 --bind 127.0.0.1 --directory /srv');
}

/** Waits until Envoy answers for a service on `port` of the machine. */
export async function untilServed(machine: Machine, port = 8080): Promise<void> {
  await eventually(`port ${port} is served`, async () =>
    machine.run(`curl -sSf -m 2 http://${machine.address}:${port}/`),
  );
}

/** Waits until the agent says by systemd that it runs, whatever else it says. */
export async function untilReady(machine: Machine): Promise<void> {
  await eventually('the agent is ready', async () => {
    const { active, status } = await machine.unitState('trysail');
    if (active !== 'active' || !status.startsWith('running'))
      throw new Error(`${active} "${status}"\n${await machine.journal('trysail*')}`);
  });
}

/** Whether a process of the agent's user finds compiled what the installation has compiled. */
export async function usesCompileCache(machine: Machine): Promise<boolean> {
  const said = await machine.run('NODE_DEBUG_NATIVE=COMPILE_CACHE runuser -u trysail -- trysail version 2>&1');
  return said.includes('was accepted');
}

/** The process id of the only Envoy that serves on the machine. */
export async function envoyPid(machine: Machine): Promise<number> {
  const pids = (await machine.run('pgrep -x envoy')).trim().split('\n');
  if (pids.length !== 1) throw new Error(`${pids.length} Envoys: ${pids.join(' ')}`);
  return Number(pids[0]);
}

/** Requests without pause until `stop`, which resolves to how many there were and what failed of them. */
export async function startRequests(
  machine: Machine,
): Promise<{ stop(): Promise<{ readonly done: number; readonly failed: readonly string[] }> }> {
  await machine.run(`rm -f /root/stop /root/requests; systemd-run -q --unit=requests sh -c '
    while [ ! -e /root/stop ]; do curl -sS -m 30 -o /dev/null -w "%{http_code}\\\\n" http://${machine.address}:8080/ >>/root/requests 2>&1; done'`);
  return {
    stop: async () => {
      await machine.run('touch /root/stop; while systemctl is-active -q requests; do sleep 0.1; done');
      const lines = (await machine.run('cat /root/requests')).trim().split('\n');
      return { done: lines.length, failed: lines.filter((line) => line !== '200') };
    },
  };
}
