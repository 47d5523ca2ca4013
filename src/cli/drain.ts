/** `trysail drain`: takes this host out of traffic before its Envoy ends. */
import type { Command } from 'commander';
import { EXIT } from './exit-codes.ts';
import { printable } from './output.ts';
import { errorText } from './report-error.ts';
import { addSettingsOptions, configurationInvalid, settingsOf } from './settings-options.ts';

export function registerDrainCommand(program: Command): void {
  const command = program
    .command('drain')
    .description('Take this host out of traffic: its services out of Consul, then Envoy drained.');
  addSettingsOptions(command)
    .addHelpText(
      'after',
      `
For the end of a host's Envoy, with the agent stopped or dead: trysail-drain.service calls it. Envoy still runs afterwards,
and takes no connection of peers any more. Takes envoy.drainTime and five seconds at most. Exits with ${EXIT.failed} when
Consul could not be told: its checks find out then.

Examples:
  trysail drain --config /etc/trysail/agent.yaml`,
    )
    .action(async (options: Readonly<Record<string, unknown>>) => {
      const loaded = await settingsOf(options);
      if ('issues' in loaded) throw configurationInvalid('this host cannot be drained', loaded.issues);
      const { drainHost } = await import('../agent/drain-host.ts');
      const { deregistered, consulError, drained } = await drainHost(loaded.settings);
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
