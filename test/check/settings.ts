/** Complete settings of a host in a folder of a test, as agent.yaml would make them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentSettings } from '../../src/agent/settings.ts';
import { type LoadedSettings, loadAgentSettings } from '../../src/agent/settings-load.ts';
import { formatDiagnostic } from '../../src/model/diagnostic.ts';

const MACHINE = { hostName: 'vm-1', address: '127.0.0.1', cores: 2 };

/** Writes agent.yaml into `dir` and loads it. */
export async function loadSettings(
  dir: string,
  agentYaml: Readonly<Record<string, unknown>>,
): Promise<{ readonly file: string; readonly loaded: LoadedSettings }> {
  const file = join(dir, 'agent.yaml');
  await writeFile(
    file,
    JSON.stringify({
      mesh: { resources: join(dir, 'resources') },
      paths: { state: join(dir, 'state'), run: join(dir, 'run') },
      ...agentYaml,
    }),
  );
  return { file, loaded: loadAgentSettings({ file, flags: {}, env: {}, machine: MACHINE }) };
}

export async function settingsIn(dir: string, agentYaml: Readonly<Record<string, unknown>>): Promise<AgentSettings> {
  const { loaded } = await loadSettings(dir, agentYaml);
  if ('settings' in loaded) return loaded.settings;
  throw new Error(loaded.issues.map(formatDiagnostic).join('\n'));
}
