/** The environment that the agent has as a unit of systemd, for whoever checks its settings from a shell. */

import type { HostIo } from '../platform/vm/checks/host-check.ts';
import { realHost } from '../platform/vm/checks/real-host.ts';
import { AGENT_UNIT, unitsOf } from '../platform/vm/checks/units.ts';
import { PATHS } from '../platform/vm/paths.ts';

const CREDENTIALS = `/run/credentials/${AGENT_UNIT}`;

/** `systemctl show` writes assignments with blanks between them, those with blanks inside in double quotes. */
export function parseEnvironment(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].flatMap(([, quoted, bare]) => {
      const assignment = quoted?.replaceAll(/\\(.)/g, '$1') ?? bare ?? '';
      const at = assignment.indexOf('=');
      return at < 1 ? [] : [[assignment.slice(0, at), assignment.slice(at + 1)]];
    }),
  );
}

/**
 * `env` with the settings that the unit gives to the agent by its environment, and where its credentials are while it
 * runs; what `env` has already stays. Unchanged where the agent is no unit, and for another file than the unit's.
 * @param file path of the agent.yaml that is checked
 */
export async function withUnitEnvironment(
  file: string,
  env: NodeJS.ProcessEnv,
  io: Pick<HostIo, 'stat' | 'run'> = realHost(() => Promise.resolve([])),
): Promise<NodeJS.ProcessEnv> {
  if (file !== PATHS.agentConfig) return env;
  const unit = (await unitsOf(io, [AGENT_UNIT], ['Environment']))?.get(AGENT_UNIT);
  if (unit === undefined) return env;
  const settings = Object.entries(parseEnvironment(unit['Environment'] ?? '')).filter(([name]) =>
    name.startsWith('TRYSAIL_'),
  );
  const credentials = (await io.stat(CREDENTIALS)) === undefined ? {} : { CREDENTIALS_DIRECTORY: CREDENTIALS };
  return { ...Object.fromEntries(settings), ...credentials, ...env };
}
