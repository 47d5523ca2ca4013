/** `trysail drain`: takes this host out of traffic before its Envoy ends. */
import type { Command } from 'commander';
import type { DrainSettings } from '../agent/drain-record.ts';
import { parseDurationMs } from '../lib/duration.ts';
import { TrysailError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';
import { printable } from './output.ts';
import { errorText } from './report-error.ts';
import { addSettingsOptions, configurationInvalid, settingsOf, stateDirsFor } from './settings-options.ts';

/** Those of the last agent, whatever agent.yaml says by now: by them it has registered this host, and started Envoy. */
async function drainSettingsOf(options: Readonly<Record<string, unknown>>): Promise<DrainSettings> {
  const [loaded, { keptDrainSettings }] = await Promise.all([settingsOf(options), import('../agent/drain-record.ts')]);
  if ('settings' in loaded) return (await keptDrainSettings(loaded.settings.paths.state)) ?? loaded.settings;
  for (const dir of await stateDirsFor(options)) {
    const kept = await keptDrainSettings(dir);
    if (kept === undefined) continue;
    process.stderr.write(
      `agent.yaml has errors: the settings that the last agent had are used, of ${printable(dir)}\n`,
    );
    return kept;
  }
  throw configurationInvalid('this host cannot be drained', loaded.issues);
}

export function registerDrainCommand(program: Command): void {
  const command = program
    .command('drain')
    .description('Take this host out of traffic: its services out of Consul, then Envoy drained.');
  addSettingsOptions(command)
    .option('--wait <duration>', 'How long to wait for the end of an agent that is stopping.', '0s')
    .addHelpText(
      'after',
      `
For the end of a host's Envoy, with the agent stopped or dead: trysail-drain.service calls it. Envoy still runs afterwards,
and takes no connection of peers any more. The settings are those that the last agent had, so that a faulty agent.yaml is
no hindrance. Takes envoy.drainTime and five seconds at most, and --wait before that. Exits with ${EXIT.failed} when Consul could not be told: its
checks find out then.

Examples:
  trysail drain --config /etc/trysail/agent.yaml`,
    )
    .action(async (options: Readonly<Record<string, unknown>>) => {
      const waitMs = parseDurationMs(String(options['wait']));
      if (waitMs === undefined)
        throw new TrysailError('DRAIN_OPTION_INVALID', `"${printable(String(options['wait']))}" is not a duration`, {
          remedy: 'Write --wait like 15s.',
        });
      const settings = await drainSettingsOf(options);
      const { drainHost } = await import('../agent/drain-host.ts');
      const { deregistered, consulError, drained } = await drainHost(settings, waitMs);
      for (const id of deregistered) process.stdout.write(`${printable(id)} is out of Consul\n`);
      if (consulError !== undefined) {
        process.stderr.write(errorText(consulError));
        process.exitCode = EXIT.failed;
      }
      const words = {
        idle: () => 'Envoy is drained',
        timeout: (active: number) => `Envoy still has ${active} requests and connections: the time is up`,
        unreachable: () => 'Envoy does not answer: there is nothing to drain',
      };
      process.stdout.write(`${drained.kind === 'timeout' ? words.timeout(drained.active) : words[drained.kind]()}\n`);
    });
}
