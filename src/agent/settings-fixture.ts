/** What tests of settings start from: an agent.yaml in a folder of its own, on a machine that is always the same. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { formatDiagnostic } from '../model/diagnostic.ts';
import type { AgentSettings } from './settings.ts';
import { type LoadedSettings, loadAgentSettings, type SettingsSources } from './settings-load.ts';

export const MACHINE = { hostName: 'vm-1', address: '10.0.0.5', cores: 2 };

/** An empty folder, gone after the test. */
export function settingsFolder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'trysail-settings-'));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

/** The settings of an agent.yaml with this text; no flags, no environment. */
export function loadYaml(t: TestContext, yaml: string, more: Partial<SettingsSources> = {}): LoadedSettings {
  const file = join(settingsFolder(t), 'agent.yaml');
  writeFileSync(file, yaml);
  return loadAgentSettings({ file, flags: {}, env: {}, machine: MACHINE, ...more });
}

/** Everything that is said of the settings, as people read it, without the folder in which agent.yaml lies. */
export function issuesOf(loaded: LoadedSettings): readonly string[] {
  const found = 'issues' in loaded ? loaded.issues : loaded.warnings;
  return found.map((issue) => formatDiagnostic(issue).replaceAll(/\/\S*(?=agent\.yaml)/g, ''));
}

/** The settings, which there must be. */
export function settingsOf(loaded: LoadedSettings): AgentSettings {
  assert.ok('settings' in loaded, issuesOf(loaded).join('\n'));
  return loaded.settings;
}
