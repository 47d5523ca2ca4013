/**
 * A network of test machines: namespaces of our own (network, mounts, processes) with one bridge. Everything in it
 * ends when the process that holds it ends, and that one ends with the test, however the test ends. The host's own
 * network and mounts never change.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, rmdirSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { cgroup2Mount } from './capability.ts';
import { type CommandResult, outputOf, runCommand } from './command.ts';
import { bootMachine, type Machine, type MachineOptions } from './machine.ts';

/** Address of the bridge: this test's own end of the network. */
export const GATEWAY = '10.77.0.1';
const CGROUP_PREFIX = 'trysail-vm-';

export interface MachineNetwork {
  /** In the host's process ids: the process that holds the namespaces. */
  readonly holderPid: number;
  /** Begins the names of this network's cgroups. */
  readonly cgroupPrefix: string;
  /** Boots a machine on this network and waits for it; it ends with the test. */
  machine(options: MachineOptions): Promise<Machine>;
  /** Runs a program of the host on this network, outside of the machines (curl, tcpdump). */
  run(program: string, ...args: readonly string[]): Promise<CommandResult>;
}

/** The hierarchies in which systemd-nspawn makes cgroups: cgroup2, and systemd's own where cgroup v1 is mounted. */
export async function cgroupRoots(): Promise<readonly string[]> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
  const named = mounts.find(([, , type, options]) => type === 'cgroup' && options?.includes('name=systemd'))?.[1];
  const cgroup2 = await cgroup2Mount();
  return [cgroup2, named].filter((path) => path !== undefined);
}

function removeTree(dir: string): void {
  for (const entry of readdirSync(dir, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(dir, entry.name));
  rmdirSync(dir);
}

/** Removes the cgroups whose name begins so; those with processes stay. */
async function removeCgroups(isOurs: (name: string) => boolean): Promise<void> {
  for (const root of await cgroupRoots())
    for (const name of await readdir(root))
      if (name.startsWith(CGROUP_PREFIX) && isOurs(name))
        try {
          removeTree(join(root, name));
        } catch {
          // Not empty yet, or another test was faster.
        }
}

async function isAlive(pid: string): Promise<boolean> {
  return readFile(`/proc/${pid}/stat`).then(
    () => true,
    () => false,
  );
}

/** Those of tests that were killed. */
async function sweep(): Promise<void> {
  const dead = new Set<string>();
  for (const root of await cgroupRoots())
    for (const name of await readdir(root)) {
      const pid = name.startsWith(CGROUP_PREFIX) ? name.slice(CGROUP_PREFIX.length).split('-')[0] : undefined;
      if (pid !== undefined && !(await isAlive(pid))) dead.add(name);
    }
  await removeCgroups((name) => dead.has(name));
}

/** The only child of a process. */
async function childOf(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  const child = Number(children.trim().split(' ')[0]);
  if (!(child > 0)) throw new Error(`process ${pid} has no child`);
  return child;
}

/** Makes an empty network; `t` ends it, and all its machines, after the test. */
export async function startNetwork(t: Pick<TestContext, 'after'>): Promise<MachineNetwork> {
  await sweep();
  const cgroupPrefix = `${CGROUP_PREFIX}${process.pid}-${randomBytes(3).toString('hex')}`;
  const setUp = [
    // systemd-nspawn keeps state there, and removes it only from a file system in memory.
    'mount -t tmpfs -o mode=755 tmpfs /run',
    'ip link set lo up',
    'ip link add br0 type bridge',
    `ip addr add ${GATEWAY}/24 dev br0`,
    'ip link set br0 up',
    'exec sleep infinity',
  ].join(' && ');
  const isolated = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private'];
  const holder = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...isolated, 'sh', '-c', setUp], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => holder.once('exit', () => resolve()));
  t.after(async () => {
    holder.kill('SIGKILL');
    await ended;
    await eventually('the cgroups are empty', async () => {
      await removeCgroups((name) => name.startsWith(cgroupPrefix));
      for (const root of await cgroupRoots())
        if ((await readdir(root)).some((name) => name.startsWith(cgroupPrefix))) throw new Error('cgroups remain');
    });
  });
  const holderPid = await eventually('the bridge is there', async () => {
    const pid = await childOf(holder.pid ?? 0);
    await outputOf('nsenter', ['-t', String(pid), '-n', 'ip', 'addr', 'show', 'dev', 'br0', 'up', 'to', GATEWAY]).then(
      (text) => {
        if (text === '') throw new Error('no bridge yet');
      },
    );
    return pid;
  });
  const network: MachineNetwork = {
    holderPid,
    cgroupPrefix,
    machine: async (options) => bootMachine(t, network, options),
    run: async (program, ...args) => runCommand('nsenter', ['-t', String(holderPid), '-m', '-n', program, ...args]),
  };
  return network;
}
