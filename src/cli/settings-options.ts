/** The options that `agent` and `check` share: the file, and a flag for every setting that has one. */
import { type Command, Option } from 'commander';
import { SETTINGS } from '../agent/settings-list.ts';
import { type LoadedSettings, loadAgentSettings } from '../agent/settings-load.ts';
import { thisMachine } from '../agent/this-machine.ts';
import { TrysailError } from '../lib/errors.ts';
import { type Diagnostic, formatDiagnostic } from '../model/diagnostic.ts';

/** Where agent.yaml is unless somebody says otherwise. */
export const DEFAULT_CONFIG = '/etc/trysail/agent.yaml';

/** `callAs` as commander names the option's value: `--call-as` → `callAs`. */
function optionName(flag: string): string {
  return flag.slice(2).replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Adds `--config` and the settings' flags. */
export function addSettingsOptions(command: Command): Command {
  command.addOption(new Option('--config <file>', 'Path of agent.yaml.').env('TRYSAIL_CONFIG').default(DEFAULT_CONFIG));
  for (const { path, flag, about, absent } of SETTINGS) {
    if (flag === undefined) continue;
    const [section = ''] = path.split('.');
    const heading = path.includes('.') ? `Settings of ${section} in agent.yaml:` : 'Settings of agent.yaml:';
    const description = `${about.replace(/\.$/, '')} (default: ${absent ?? 'required'}).`;
    command.addOption(new Option(`${flag} <value>`, description.replaceAll('`', '')).helpGroup(heading));
  }
  return command;
}

/**
 * The settings as the options of a command, the environment and the file together say.
 * @param text of the file, if not the one that lies there
 */
export async function settingsOf(
  options: Readonly<Record<string, unknown>>,
  env: NodeJS.ProcessEnv = process.env,
  text?: string,
): Promise<LoadedSettings> {
  const flags = Object.fromEntries(
    SETTINGS.flatMap(({ path, flag }) => {
      const value = flag === undefined ? undefined : options[optionName(flag)];
      return typeof value === 'string' ? [[path, value]] : [];
    }),
  );
  const file = String(options['config']);
  return loadAgentSettings({
    file,
    flags,
    env,
    machine: await thisMachine(),
    ...(text === undefined ? {} : { text }),
  });
}

/** Where the last agent may have its state when the settings cannot be read, likeliest first. */
export async function stateDirsFor(options: Readonly<Record<string, unknown>>): Promise<readonly string[]> {
  const { stateDirsOf } = await import('../agent/drain-record.ts');
  const given = [options['pathsState'], process.env['TRYSAIL_PATHS_STATE']];
  return stateDirsOf(
    String(options['config']),
    given.filter((path) => typeof path === 'string'),
  );
}

/** The error of a command that needs settings without faults. @param cannot such as `the agent cannot start` */
export function configurationInvalid(cannot: string, issues: readonly Diagnostic[]): TrysailError {
  const errors = issues.filter(({ severity }) => severity === 'error').length;
  const lines = issues.map(formatDiagnostic).join('\n');
  return new TrysailError(
    'CONFIGURATION_INVALID',
    `${cannot} with ${errors} error${errors === 1 ? '' : 's'} in its settings:\n${lines}`,
    {
      remedy: 'Correct them; "trysail check" tells the same, and of the resources too.',
    },
  );
}
