/** `trysail ca`: makes a certificate authority and looks after its hosts. */
import { type Command, Option } from 'commander';
import type { CaStatusReport, HostSummary } from '../server/ca-admin.ts';
import { alignColumns, type OutputFormat, outputOption, serialise } from './output.ts';

/** Where a CA's folder is unless said otherwise. */
export const CA_DIR = '/var/lib/trysail-ca';

/** `--dir`, from `TRYSAIL_CA_DIR` where that is set. */
export function caDirOption(): Option {
  return new Option('--dir <folder>', "The CA's folder.").env('TRYSAIL_CA_DIR').default(CA_DIR);
}

/** Goes on as the owner of the CA's folder, so that the server can read what is made. */
export async function asOwnerOf(dir: string): Promise<void> {
  const { becomeOwner } = await import('../server/ca-owner.ts');
  await becomeOwner(dir);
}

interface Reading {
  readonly dir: string;
  readonly output: OutputFormat;
}

async function print(value: unknown, text: string, format: OutputFormat): Promise<void> {
  process.stdout.write(format === 'text' ? text : await serialise(value, format));
}

function statusText(report: CaStatusReport): string {
  const { roots, hosts, server } = report;
  const rows = [
    ['Folder', report.dir],
    ['Trust domain', report.trustDomain],
    ...roots.map((root, i) => [
      i === 0 ? 'Root' : '',
      `${root.subject}, until ${root.notAfter}, SHA-256 ${root.sha256}`,
    ]),
    ['Signs', `${report.selfSigned ? 'with the root itself' : 'with an intermediate'}, until ${report.notAfter}`],
    ['Hosts', `${hosts.joined} joined, ${hosts.expired} expired, ${hosts.left} left, ${hosts.revoked} revoked`],
    ['Join tokens', `${report.validTokens} valid`],
    ...(server === undefined ? [] : [['Server', `${server.address}: ${server.problem ?? 'answers, with this root'}`]]),
  ];
  return `${alignColumns(rows).join('\n')}\n`;
}

function hostsText(hosts: readonly HostSummary[]): string {
  if (hosts.length === 0) return 'No host has joined. Let one join with "trysail token create".\n';
  const rows = hosts.map((h) => [h.host, h.state, h.allow.join(','), h.enrolledAt, h.credentialEnds]);
  return `${alignColumns([['HOST', 'STATE', 'MAY HAVE', 'JOINED', 'CREDENTIAL ENDS'], ...rows]).join('\n')}\n`;
}

export function registerCaCommands(program: Command): void {
  const ca = program.command('ca').description('Make a certificate authority, and look after its hosts.');

  ca.command('init')
    .description('Make a certificate authority: a root of ten years in a new folder.')
    .addOption(caDirOption())
    .requiredOption('--trust-domain <name>', 'The trust domain of the mesh, such as prod.example.com.')
    .addHelpText(
      'after',
      `
The files have the names of Istio's "cacerts". To sign with an intermediate of your own PKI, replace the four PEM files.

Example:
  trysail ca init --dir /var/lib/trysail-ca --trust-domain prod.example.com`,
    )
    .action(async ({ dir, trustDomain }: { readonly dir: string; readonly trustDomain: string }) => {
      const { initialiseCa } = await import('../server/ca-admin.ts');
      const made = await initialiseCa(dir, trustDomain);
      process.stdout.write(`The CA of ${made.trustDomain} is in ${dir}, good until ${made.notAfter}.
Root SHA-256: ${made.roots[0]?.sha256 ?? ''}

Keep a copy of ${dir} in a safe place: who has ca-key.pem can be anyone in this mesh.
Next:
  1. Write "ca: { dir: ${dir} }" into server.yaml, and run: trysail server --roles ca --config server.yaml
  2. For each host: trysail token create --dir ${dir} --ca-address HOST:15012 --allow NAMESPACE/ACCOUNT
  3. On the host: trysail join --token-file FILE
`);
    });

  ca.command('status')
    .description('Check the folder of a certificate authority, and show what it holds.')
    .addOption(caDirOption())
    .addOption(outputOption())
    .option('--address <host:port>', 'Ask there too whether this CA answers.')
    .action(async ({ dir, output, address }: Reading & { readonly address?: string }) => {
      const { caStatus } = await import('../server/ca-admin.ts');
      await asOwnerOf(dir);
      const report = await caStatus(dir, address);
      await print(report, statusText(report), output);
      if (report.server?.answers === false) process.exitCode = 1;
    });

  ca.command('hosts')
    .description('List the hosts that have joined, and what they may have.')
    .addOption(caDirOption())
    .addOption(outputOption())
    .action(async ({ dir, output }: Reading) => {
      const { listHosts } = await import('../server/ca-admin.ts');
      await asOwnerOf(dir);
      const hosts = await listHosts(dir);
      await print(hosts, hostsText(hosts), output);
    });

  ca.command('revoke')
    .alias('deny')
    .description('Issue no more certificates to a host.')
    .argument('<host>', 'Its name, as "trysail ca hosts" shows it.')
    .addOption(caDirOption())
    .addHelpText(
      'after',
      `
Holds at once for whatever the host asks of the CA; it does not come back by itself either. Certificates that it has stay good until they end, at most their
lifetime (24 h unless configured otherwise).`,
    )
    .action(async (host: string, { dir }: { readonly dir: string }) => {
      const { revokeHost } = await import('../server/ca-admin.ts');
      await asOwnerOf(dir);
      await revokeHost(dir, host);
      process.stdout.write(
        `${host} is revoked. To admit it again: trysail token create --dir ${dir} --host ${host} …\n`,
      );
    });
}
