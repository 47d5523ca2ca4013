/**
 * A machine with systemd as its first process, on real cgroups: an nspawn container that boots the base image, over
 * which lies a file system in memory of its own. For what only a booted system shows: units, boot order, packages.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { baseImage } from './capability.ts';
import { type CommandResult, outputOf, runCommand } from './command.ts';
import { cgroupRoots, GATEWAY, type MachineNetwork } from './network.ts';

const BOOT_TIMEOUT_MS = 300_000;
const ENVIRONMENT = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'LANG=C.UTF-8',
  'TERM=dumb',
];

export interface MachineOptions {
  /** Its host name; at most 11 characters, unique in its network. */
  readonly name: string;
  /** Last number of its address 10.77.0.x, from 2 to 254. */
  readonly number: number;
  /** How much its disk holds (in memory). Default: 1500. */
  readonly diskMb?: number;
  /** Files and folders of this machine to see there read only: path here → absolute path there. */
  readonly binds?: Readonly<Record<string, string>>;
}

/** What systemd says of a unit. */
export interface UnitState {
  readonly active: string;
  readonly sub: string;
  readonly result: string;
  readonly status: string;
  readonly mainPid: number;
  readonly restarts: number;
}

export interface Machine {
  readonly name: string;
  /** Its address on the network. */
  readonly address: string;
  /** The machine's root folder as seen from here; changes with every boot. */
  root(): string;
  /** Runs a line of shell as root; throws with all it printed when the exit code is not 0. Resolves to its output. */
  run(line: string, options?: { readonly timeoutMs?: number }): Promise<string>;
  /** As `run`, for a line that may fail. */
  try(line: string, options?: { readonly timeoutMs?: number }): Promise<CommandResult>;
  /** Writes a file, making its folder. */
  write(path: string, content: string, mode?: number): Promise<void>;
  /** Copies a file or folder from here to `path` there. */
  copyIn(from: string, path: string): Promise<void>;
  unitState(unit: string): Promise<UnitState>;
  /** What the journal has of a unit since boot. */
  journal(unit: string): Promise<string>;
  /** Reboots in order and waits until it is up again. */
  reboot(): Promise<void>;
  /** Shuts down in order; `boot()` starts it again. */
  powerOff(): Promise<void>;
  /** A power cut: every process ends at once. `boot()` starts it again on the same disk. */
  kill(): Promise<void>;
  /** Boots a machine that was powered off or killed. */
  boot(): Promise<void>;
}

/** Host process ids in the cgroup tree below `dir`. */
async function processesBelow(dir: string): Promise<readonly number[]> {
  const own = await readFile(join(dir, 'cgroup.procs'), 'utf8').catch(() => '');
  const below = await readdir(dir, { withFileTypes: true }).catch(() => []);
  const nested = await Promise.all(
    below.filter((entry) => entry.isDirectory()).map((entry) => processesBelow(join(dir, entry.name))),
  );
  return [
    ...own
      .split('\n')
      .filter((line) => line !== '')
      .map(Number),
    ...nested.flat(),
  ];
}

/** The machine's first process, in this host's ids. */
async function findInit(cgroup: string): Promise<number> {
  for (const pid of await processesBelow(cgroup)) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    // Process ids from this host inwards: host, network, machine.
    const ids = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
    if (ids.length >= 3 && ids.at(-1) === '1' && /^Name:\s+systemd$/m.test(status)) return pid;
  }
  throw new Error('it has no first process yet');
}

function nspawnScript(cgroupName: string, cgroups: readonly string[], options: MachineOptions, dir: string): string {
  const binds = Object.entries(options.binds ?? {}).map(([from, to]) => `--bind-ro='${from}:${to}'`);
  return [
    // A cgroup of its own: else two machines would share one tree.
    ...cgroups.map((root) => `mkdir -p ${root}/${cgroupName} && echo 0 > ${root}/${cgroupName}/cgroup.procs`),
    [
      'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn --quiet --boot --register=no --keep-unit',
      `-D ${dir}/root --machine=${options.name} --network-bridge=br0 --link-journal=no --resolv-conf=off --timezone=off`,
      `--console=pipe --kill-signal=SIGRTMIN+3 ${binds.join(' ')}`,
    ].join(' '),
  ].join('\n');
}

/** Boots a machine; `MachineNetwork.machine` is how tests call it. */
export async function bootMachine(
  t: Pick<TestContext, 'after'>,
  network: MachineNetwork,
  options: MachineOptions,
): Promise<Machine> {
  const { name, number, diskMb = 1500 } = options;
  const address = `10.77.0.${number}`;
  const cgroupName = `${network.cgroupPrefix}-${name}`;
  const cgroups = await cgroupRoots();
  const image = await baseImage();
  const dir = `/run/trysail-vm/${name}`;
  const inNetwork = ['-t', String(network.holderPid), '-m', '-n', '-p'];
  let nspawn: ChildProcess | undefined;
  let ended: Promise<void> = Promise.resolve();
  let init = 0;
  let console_ = '';

  // Mounts are the network's own: they vanish with it, and the host does not see them.
  await outputOf('nsenter', [
    ...inNetwork,
    'sh',
    '-ec',
    `mkdir -p ${dir}; mount -t tmpfs -o size=${diskMb}m tmpfs ${dir}; mkdir ${dir}/upper ${dir}/work ${dir}/root
     mount -t overlay overlay -o lowerdir=${image},upperdir=${dir}/upper,workdir=${dir}/work ${dir}/root
     cd ${dir}/root; echo ${name} > etc/hostname
     printf '[Match]\\nName=host0\\n[Network]\\nAddress=${address}/24\\nGateway=${GATEWAY}\\nLinkLocalAddressing=ipv6\\nIPv6AcceptRA=no\\n' > etc/systemd/network/10-host0.network`,
  ]);

  const enter = (line: string): string[] => {
    const namespaces = ['-m', '-u', '-i', '-n', '-p', '-r', '-w'];
    return ['-t', String(init), ...namespaces, 'env', '-i', ...ENVIRONMENT, '/bin/bash', '-c', line];
  };
  const attempt: Machine['try'] = async (line, { timeoutMs = 300_000 } = {}) =>
    runCommand('nsenter', enter(line), { timeoutMs });
  const run: Machine['run'] = async (line, { timeoutMs = 300_000 } = {}) => {
    const { code, stdout, stderr } = await attempt(line, { timeoutMs });
    if (code !== 0) throw new Error(`${name}: ${line}: exit code ${code}\n${stdout}${stderr}`);
    return stdout;
  };

  const up = async (): Promise<void> => {
    await eventually(
      `${name} boots`,
      async () => {
        if (nspawn?.exitCode !== null) return true;
        init = await findInit(join(cgroups[0] ?? '', cgroupName));
        const { stdout } = await attempt('systemctl is-system-running', { timeoutMs: 30_000 });
        if (!['running', 'degraded'].includes(stdout.trim())) throw new Error(`${stdout}\n${console_.slice(-4000)}`);
        return true;
      },
      BOOT_TIMEOUT_MS,
    );
    if (nspawn?.exitCode !== null) throw new Error(`systemd-nspawn ended:\n${console_.slice(-4000)}`);
  };
  const boot = async (): Promise<void> => {
    nspawn = spawn('nsenter', [...inNetwork, 'sh', '-ec', nspawnScript(cgroupName, cgroups, options, dir)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [nspawn.stdout, nspawn.stderr])
      stream?.on('data', (chunk: Buffer) => (console_ = (console_ + chunk.toString()).slice(-20_000)));
    const child = nspawn;
    ended = new Promise((resolve) => child.once('exit', () => resolve()));
    await up();
  };
  const kill = async (): Promise<void> => {
    if (nspawn?.exitCode !== null || nspawn.signalCode !== null) return;
    process.kill(init, 'SIGKILL');
    await ended;
  };
  t.after(() => kill().catch(() => undefined));
  await boot();

  return {
    name,
    address,
    root: () => `/proc/${init}/root`,
    run,
    try: attempt,
    write: async (path, content, mode = 0o644) => {
      const target = join(`/proc/${init}/root`, path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, content, { mode });
    },
    copyIn: async (from, path) => {
      const target = join(`/proc/${init}/root`, path);
      await mkdir(dirname(target), { recursive: true });
      await outputOf('cp', ['-a', '--no-preserve=ownership', from, target]);
    },
    unitState: async (unit) => {
      const text = await run(
        `systemctl show ${unit} -p ActiveState -p SubState -p Result -p StatusText -p MainPID -p NRestarts`,
      );
      const of = (key: string): string => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? '';
      return {
        active: of('ActiveState'),
        sub: of('SubState'),
        result: of('Result'),
        status: of('StatusText'),
        mainPid: Number(of('MainPID')),
        restarts: Number(of('NRestarts')),
      };
    },
    journal: async (unit) => run(`journalctl -b --no-pager -u ${unit}`),
    reboot: async () => {
      // With --keep-unit it ends at a reboot, for its service manager to start it again.
      await attempt('systemctl reboot');
      await ended;
      await boot();
    },
    powerOff: async () => {
      await attempt('systemctl poweroff');
      await ended;
    },
    kill,
    boot,
  };
}
