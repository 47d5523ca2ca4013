/** Capture plans for tests, and their rules in a namespace. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { CapturePlan } from '../../src/platform/vm/capture-plan.ts';
import { captureRuleset } from '../../src/platform/vm/capture-ruleset.ts';
import { tempDir } from '../support/temp-dir.ts';
import type { Namespace } from './netns.ts';

/** Nothing captured; Envoy runs as root. */
export const EMPTY_PLAN: CapturePlan = {
  callers: [],
  inbound: [],
  inboundPort: 15006,
  envoyUid: 0,
  agentUid: 1700,
  outboundOnFailure: 'direct',
  exclude: { ports: [], addresses: [], uids: [], interfaces: [] },
  sshPorts: [],
  ownPorts: [],
  namedRanges: [],
};

/** Loads a plan's rules so that they stay without an owner. */
export async function load(t: Pick<TestContext, 'after'>, where: Namespace, plan: CapturePlan): Promise<void> {
  const file = join(await tempDir(t), 'rules.nft');
  await writeFile(file, captureRuleset(plan, { owned: false }).text);
  await where.run('nft', '-f', file);
}
