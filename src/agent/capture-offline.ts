/** What `trysail capture` does without an agent: showing the rules, and removing them. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cleanCapture } from '../platform/vm/capture-clean.ts';
import { captureRuleset } from '../platform/vm/capture-ruleset.ts';
import { CgroupWatcher, type UnitCgroup } from '../platform/vm/cgroup-watcher.ts';
import { dnsDomainsFile } from '../platform/vm/dns-domains.ts';
import { PATHS } from '../platform/vm/paths.ts';
import { userId } from '../platform/vm/users.ts';
import { captureDir } from './capture-need.ts';
import { capturedUnits, captureFacts, capturePlanOf } from './capture-plan-of.ts';
import { capturePortsOf } from './capture-ports-file.ts';
import { NEVER_APPLIED, writeCaptureState } from './capture-state.ts';
import { namesAreReachable } from './reachable-names.ts';
import type { AgentSettings } from './settings.ts';

/** Where an agent keeps what it knows of capture. */
export function captureFiles(stateDir: string): { readonly state: string; readonly guard: string } {
  return { state: join(stateDir, 'capture.json'), guard: join(stateDir, 'capture-guard.nft') };
}

/** The users of Envoy and of the agent: the package's, or who asks. */
export async function proxyUsers({ envoy }: Pick<AgentSettings, 'envoy'>): Promise<{
  readonly envoyUid: number;
  readonly agentUid: number;
}> {
  const own = process.getuid?.() ?? 0;
  if (envoy.launcher !== 'systemd') return { envoyUid: own, agentUid: own };
  const [envoyUid = own, agentUid = own] = await Promise.all([userId('trysail-envoy'), userId('trysail')]);
  return { envoyUid, agentUid };
}

/** The rules as they would be loaded now, and what is not in them. */
export interface OfflinePlan {
  readonly revision: string;
  readonly text: string;
  /** Units that do not run; in `text` at the place where they usually are. */
  readonly waitingFor: readonly string[];
  readonly unknownUsers: readonly string[];
}

/** Errors as `captureRuleset`. */
export async function offlinePlan(settings: AgentSettings): Promise<OfflinePlan> {
  const facts = await captureFacts(settings, await proxyUsers(settings));
  const units = capturedUnits(settings);
  const watcher = new CgroupWatcher({ units, onChange: () => undefined });
  const running = watcher.current;
  watcher.close();
  const usual = units.map((unit): [string, UnitCgroup] => [unit, { path: `system.slice/${unit}`, id: 0 }]);
  const { plan, unknownUsers } = capturePlanOf(settings, {
    facts,
    cgroups: new Map([...usual, ...running]),
    capturePorts: await capturePortsOf(settings),
  });
  const waitingFor = units.filter((unit) => !running.has(unit));
  return { ...captureRuleset(plan), waitingFor, unknownUsers };
}

/**
 * Removes every rule of capture as root, whatever lives and whatever is left of agent.yaml.
 * @throws TrysailError `CAPTURE_NOT_CLEAN`
 */
export async function cleanOffline(
  settings: AgentSettings | undefined,
): Promise<{ readonly removed: readonly string[] }> {
  const stateDir = settings?.paths.state ?? PATHS.state;
  const { state, guard } = captureFiles(stateDir);
  const dirs = new Set([
    PATHS.captureRun,
    join(PATHS.run, 'capture'),
    ...(settings === undefined ? [] : [captureDir(settings)]),
  ]);
  const result = await cleanCapture([...dirs], guard);
  // An agent that starts later must not bring the rules back. Where there is no folder, there is none to start from.
  if ((await readdir(stateDir).catch(() => [])).length > 0 && (await readFile(state, 'utf8').catch(() => '')) !== '')
    await writeCaptureState(state, NEVER_APPLIED);
  // The agent that would take them back is away: names must not resolve to where only the rules led.
  if (settings !== undefined && !namesAreReachable(settings, false))
    await rm(dnsDomainsFile(settings.paths.run), { force: true });
  return result;
}
