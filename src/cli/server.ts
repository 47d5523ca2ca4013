/** `trysail server`: runs the certificate authority. */
import type { Command } from 'commander';

interface ServerOptions {
  readonly roles: string;
  readonly config: string;
}

export function registerServerCommand(program: Command): void {
  program
    .command('server')
    .description("Run the mesh's servers: the certificate authority.")
    .option('--config <file>', 'The file server.yaml.', '/etc/trysail/server.yaml')
    .option('--roles <list>', 'What to serve, separated by commas: ca.', 'ca')
    .addHelpText(
      'after',
      `
Ends on SIGTERM and SIGINT, after the requests in flight. Hosts keep their certificates while it is away.

server.yaml:
  ca:
    dir: /var/lib/trysail-ca       # made by "trysail ca init"
    listen: 0.0.0.0:15012          # default
    names: [ca.example, 10.0.0.1]  # in its certificate; default: this machine's name, the address it listens on
    reEnrolGrace: 720h             # default: so long after its end a host gets its credential anew with its own key
    meshConfig: meshconfig.yaml    # what hosts get when they join; default: the trust domain alone

Example:
  trysail server --roles ca --config ./server.yaml`,
    )
    .action(async ({ roles, config }: ServerOptions) => {
      const [{ runServer }, { parseRoles }] = await Promise.all([
        import('../server/server.ts'),
        import('../server/server-settings.ts'),
      ]);
      const stop = new AbortController();
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
      await runServer({ configFile: config, roles: parseRoles(roles), signal: stop.signal });
    });
}
