/** `trysail reload`: has the agent read its resource files anew. */
import type { Command } from 'commander';
import { callApi } from '../api/client.ts';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { socketOption } from './api-socket.ts';
import { EXIT } from './exit-codes.ts';
import { printable } from './output.ts';

export function registerReloadCommand(program: Command): void {
  program
    .command('reload')
    .description('Read the resource files of this host again.')
    .addOption(socketOption())
    .addHelpText(
      'after',
      `
The agent sees changed files by itself within a second; this is for scripts that must know what is wrong with them.
agent.yaml and meshconfig.yaml are read when the agent starts.

Examples:
  trysail reload`,
    )
    .action(async (options: { readonly socket: string }) => {
      const { diagnostics } = await callApi(options.socket, 'reload', undefined);
      for (const diagnostic of diagnostics) process.stdout.write(`${printable(formatDiagnostic(diagnostic))}\n`);
      if (diagnostics.some(({ severity }) => severity === 'error')) process.exitCode = EXIT.invalidConfiguration;
    });
}
