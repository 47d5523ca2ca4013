// Benchmark (e): the package on two machines with systemd, joined by token, and what the mesh costs there: at rest, under
// 2,000 requests a second, in a hot restart, in an upgrade, at boot. Beside it in the same run: a plain Envoy with the
// smallest hand-written configuration for the same work, and no proxy at all. Needs root (see test/vm/capability.ts).
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { canBootMachines } from '../test/vm/capability.ts';
import type { Report } from './main.ts';
import { createOwner } from './owner.ts';
import { measureChanges } from './vm-changes.ts';
import { startHosts, type VmHosts } from './vm-hosts.ts';
import { measureLoad } from './vm-load.ts';
import { unitCpuMs, unitMemory } from './vm-usage.ts';

/** A start is forgotten after some seconds: the collector of Node gives memory back. */
const SETTLE_MS = 12_000;
const IDLE_MS = 15_000;

async function measureIdle({ east }: VmHosts, report: Report): Promise<void> {
  await delay(SETTLE_MS);
  const units = ['trysail', 'trysail-envoy', 'trysail-capture'] as const;
  const before = await Promise.all(units.map(async (unit) => unitCpuMs(east, unit)));
  await delay(IDLE_MS);
  const after = await Promise.all(units.map(async (unit) => unitCpuMs(east, unit)));
  const perMinute = (i: number): number => (((after[i] ?? Number.NaN) - (before[i] ?? Number.NaN)) * 60_000) / IDLE_MS;
  const [agent, envoy, capture] = await Promise.all(units.map(async (unit) => unitMemory(east, unit)));
  const envoyRssMb = envoy?.rssMb['envoy'] ?? Number.NaN;
  report('vm.idle.agentRssMb', agent?.rssMb['node'] ?? Number.NaN, 'MB');
  report('vm.idle.envoyRssMb', envoyRssMb, 'MB');
  report('vm.idle.launcherRssMb', (envoy?.totalRssMb ?? Number.NaN) - envoyRssMb, 'MB');
  report('vm.idle.captureRssMb', capture?.totalRssMb ?? Number.NaN, 'MB');
  report('vm.idle.agentCpuMsPerMinute', perMinute(0), 'ms');
  report('vm.idle.envoyCpuMsPerMinute', perMinute(1), 'ms');
}

export async function run(report: Report): Promise<void> {
  const reason = await canBootMachines();
  if (reason !== undefined) {
    console.error(`bench: vm: left out: ${reason}`);
    return;
  }
  const owner = createOwner();
  const dir = await mkdtemp(join(tmpdir(), 'tsb-'));
  try {
    const hosts = await startHosts(owner, dir);
    await measureIdle(hosts, report);
    await measureLoad(hosts, report);
    await measureChanges(hosts, report);
  } finally {
    await owner.end();
    await rm(dir, { recursive: true, force: true });
  }
}
