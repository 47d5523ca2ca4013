/**
 * A host with a network of its own, and another one beside it: two network namespaces with a link between them, which end
 * with the test. Programs are run in them as any user and in any cgroup.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readlinkSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { type Child, startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';

const run = promisify(execFile);
type Owner = Pick<TestContext, 'after'>;

/** The machine's cgroup v2 hierarchy: all there is, or beside v1; undefined: none that can be written. */
const CGROUP_ROOT = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find((path) => {
  try {
    accessSync(path, constants.W_OK);
    return existsSync(join(path, 'cgroup.procs'));
  } catch {
    return false;
  }
});

/** Why tests of capture cannot run here; false: they can. */
export function cannotCapture(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  if (spawnSync('nft', ['--version']).status !== 0) return 'needs nftables (Debian: apt-get install nftables)';
  if (spawnSync('unshare', ['--net', 'nft', 'list', 'ruleset']).status !== 0)
    return 'needs network namespaces and nftables in the kernel';
  return false;
}

/** As `cannotCapture`, and for cgroups. */
export function cannotUseCgroups(): string | false {
  return cannotCapture() || (CGROUP_ROOT === undefined && 'needs cgroup v2');
}

export interface Namespace {
  readonly pid: number;
  /** The command line that runs a program inside. */
  within(command: string, args: readonly string[]): readonly [string, readonly string[]];
  /** Runs a program to its end; its output, or an error with what it said. */
  run(command: string, ...args: readonly string[]): Promise<string>;
  start(command: string, ...args: readonly string[]): Child;
}

export interface Hosts {
  /** 10.9.0.1, 2001:db8:9::1 on `v0`. */
  readonly host: Namespace;
  /** 10.9.0.2, 2001:db8:9::2. */
  readonly other: Namespace;
}

/** Ends every process of a network namespace, those too that have let themselves loose from who started them. */
function endAll(network: string): void {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readlinkSync(`/proc/${name}/ns/net`) === network) process.kill(Number(name), 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** One host without a network but for loopback. */
export async function namespace(t: Owner): Promise<Namespace> {
  // nft resolves cgroups below /sys/fs/cgroup only.
  const cgroup = CGROUP_ROOT === undefined ? ':' : `mount --bind ${CGROUP_ROOT} /sys/fs/cgroup`;
  const child = startChild(t, 'unshare', [
    '--net',
    '--mount',
    'sh',
    '-c',
    `${cgroup} && ip link set lo up && echo ready && exec sleep 600`,
  ]);
  await eventually('the namespace', () => child.output().includes('ready'));
  const pid = child.process.pid ?? 0;
  const network = readlinkSync(`/proc/${pid}/ns/net`);
  t.after(() => endAll(network));
  const within = (command: string, args: readonly string[]) =>
    ['nsenter', ['--target', String(pid), '--net', '--mount', command, ...args]] as const;
  return {
    pid,
    within,
    run: async (command, ...args) => {
      const [program, all] = within(command, args);
      const { stdout } = await run(program, [...all], { timeout: 180_000 });
      return stdout;
    },
    start: (command, ...args) => startChild(t, ...within(command, args)),
  };
}

/** Two hosts with a link. */
export async function twoNamespaces(t: Owner): Promise<Hosts> {
  const [host, other] = await Promise.all([namespace(t), namespace(t)]);
  await host.run('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v0', 'netns', String(other.pid));
  for (const [each, last] of [
    [host, 1],
    [other, 2],
  ] as const) {
    await each.run('ip', 'address', 'add', `10.9.0.${last}/24`, 'dev', 'v0');
    await each.run('ip', '-6', 'address', 'add', `2001:db8:9::${last}/64`, 'dev', 'v0', 'nodad');
    await each.run('ip', 'link', 'set', 'v0', 'up');
  }
  return { host, other };
}

let cgroups = 0;
/** An empty cgroup: its path below the root, of two levels, its folder, and that in a namespace. */
export function makeCgroup(
  t: Owner,
  unit: string,
): { readonly path: string; readonly dir: string; readonly inside: string } {
  const root = CGROUP_ROOT ?? '';
  cgroups += 1;
  const slice = `trysailtest${process.pid}x${cgroups}.slice`;
  const dir = join(root, slice, unit);
  mkdirSync(dir, { recursive: true });
  t.after(async () => {
    // Its processes are ended by then, but may still be leaving.
    await eventually('the cgroup is empty', () => {
      if (existsSync(dir)) rmdirSync(dir);
      rmdirSync(join(root, slice));
    });
  });
  return { path: `${slice}/${unit}`, dir, inside: `/sys/fs/cgroup/${slice}/${unit}` };
}

/** Names of tables in a namespace. */
export function tables({ pid }: Namespace): readonly string[] {
  const text = execFileSync('nsenter', ['--target', String(pid), '--net', 'nft', 'list', 'tables'], {
    encoding: 'utf8',
  });
  return text.trim().split('\n').filter(Boolean);
}
