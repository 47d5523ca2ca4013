/** `trysail reload`: has the agent read its files anew. */
import type { Command } from 'commander';
import { callApi } from '../api/client.ts';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { socketOption } from './api-socket.ts';
import { EXIT } from './exit-codes.ts';
import { printable } from './output.ts';

export function registerReloadCommand(program: Command): void {
  program
    .command('reload')
    .description('Read agent.yaml, meshconfig.yaml and the resources of this host again.')
    .addOption(socketOption())
    .addHelpText(
      'after',
      `
Everything takes effect without touching traffic: services, upstreams, modes, capture, names, the log's level, and by a
hot restart of Envoy what it is started with. What needs a restart of the agent is said, and stays as it was; so does
everything while a file has errors. Resources alone need no reload: the agent sees them change within a second.

Examples:
  trysail reload`,
    )
    .action(async (options: { readonly socket: string }) => {
      const { diagnostics } = await callApi(options.socket, 'reload', undefined);
      for (const diagnostic of diagnostics) process.stdout.write(`${printable(formatDiagnostic(diagnostic))}\n`);
      if (diagnostics.some(({ severity }) => severity === 'error')) process.exitCode = EXIT.invalidConfiguration;
    });
}
