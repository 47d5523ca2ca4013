/** `trysail rotate`: renews workload certificates now. */
import type { Command } from 'commander';
import { callApi } from '../api/client.ts';
import { socketOption } from './api-socket.ts';

export function registerRotateCommand(program: Command): void {
  program
    .command('rotate')
    .description('Renew the workload certificates of this host now.')
    .argument('[spiffe-id]', 'Only the certificate of this identity.')
    .addOption(socketOption())
    .addHelpText(
      'after',
      `
Connections that are open stay open; new ones use the new certificate.

Examples:
  trysail rotate
  trysail rotate spiffe://cluster.local/ns/default/sa/reviews`,
    )
    .action(async (spiffeId: string | undefined, options: { readonly socket: string }) => {
      const { renewed } = await callApi(options.socket, 'rotate', spiffeId === undefined ? {} : { spiffeId });
      for (const certificate of renewed)
        process.stdout.write(`${certificate.spiffeId} renewed, serial ${certificate.serial}\n`);
      if (renewed.length === 0) process.stdout.write('This host has no certificate to renew.\n');
    });
}
