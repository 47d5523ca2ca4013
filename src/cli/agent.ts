/** `trysail agent`: the daemon of a host. */
import type { Command } from 'commander';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { EXIT } from './exit-codes.ts';
import { addSettingsOptions, configurationInvalid, settingsOf } from './settings-options.ts';

/** How long what is still open may keep the process after the agent has ended. */
const LINGER_MS = 2000;

/** Aborts at the first SIGTERM or SIGINT; the second one ends the process at once. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(EXIT.interrupted);
      stop.abort();
    });
  return stop.signal;
}

export function registerAgentCommand(program: Command): void {
  const command = program.command('agent').description('Run the agent of this host until it is told to stop.');
  addSettingsOptions(command)
    .addHelpText(
      'after',
      `
SIGTERM and SIGINT stop it in order (deregister, drain, end Envoy), a second one at once; SIGHUP reads agent.yaml,
meshconfig.yaml and the resources again. Exits with ${EXIT.invalidConfiguration} when the settings are wrong. An agent that dies leaves Envoy serving, and the next one adopts it.

Examples:
  trysail agent --config /etc/trysail/agent.yaml
  trysail agent --config ./agent.yaml --log-level debug
  TRYSAIL_CONSUL_ADDRESS=http://127.0.0.1:8500 trysail agent`,
    )
    .action(async (options: Readonly<Record<string, unknown>>) => {
      const loaded = await settingsOf(options);
      if ('issues' in loaded) throw configurationInvalid('the agent cannot start', loaded.issues);
      for (const warning of loaded.warnings) process.stderr.write(`trysail: ${formatDiagnostic(warning)}\n`);
      const { runAgent } = await import('../agent/agent.ts');
      try {
        await runAgent(loaded.settings, async () => settingsOf(options), stopSignal());
      } finally {
        setTimeout(() => process.exit(), LINGER_MS).unref();
      }
    });
}
