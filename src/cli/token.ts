/** `trysail token`: join tokens, each of which lets a host into the mesh. */
import type { Command } from 'commander';
import { parseDurationMs } from '../lib/duration.ts';
import { TrysailError } from '../lib/errors.ts';
import type { TokenSummary } from '../server/ca-admin.ts';
import { asOwnerOf, caDirOption } from './ca.ts';
import { alignColumns, type OutputFormat, outputOption, serialise } from './output.ts';

interface CreateOptions {
  readonly dir: string;
  readonly caAddress: readonly string[];
  readonly allow: readonly string[];
  readonly ttl: string;
  readonly uses: string;
  readonly host?: string;
  readonly output: OutputFormat;
}

const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), value];

function tokensText(tokens: readonly TokenSummary[]): string {
  if (tokens.length === 0) return 'There are no tokens.\n';
  const rows = tokens.map((t) => [
    t.id,
    t.state,
    t.allow.join(','),
    t.host ?? 'any',
    `${t.used}/${t.uses}`,
    t.expiresAt,
    t.usedBy.map(({ host }) => host).join(','),
  ]);
  const heading = ['ID', 'STATE', 'ALLOWS', 'FOR HOST', 'USED', 'EXPIRES', 'USED BY'];
  return `${alignColumns([heading, ...rows]).join('\n')}\n`;
}

async function create(options: CreateOptions): Promise<void> {
  const ttlMs = parseDurationMs(options.ttl);
  if (ttlMs === undefined) {
    throw new TrysailError('TOKEN_OPTIONS_INVALID', `"${options.ttl}" is not a duration`, {
      remedy: 'Write --ttl as 30m, 1h or 24h.',
    });
  }
  const { createToken } = await import('../server/ca-admin.ts');
  await asOwnerOf(options.dir);
  const made = await createToken(options.dir, {
    caAddresses: options.caAddress,
    allow: options.allow,
    ttlMs,
    uses: Number(options.uses),
    host: options.host,
  });
  if (options.output !== 'text') {
    const { id, text, expiresAt } = made;
    process.stdout.write(await serialise({ id, token: text, expiresAt }, options.output));
    return;
  }
  // The token alone on standard output: `trysail token create … > join.token`.
  process.stdout.write(`${made.text}\n`);
  process.stderr.write(
    `Token ${made.id}, good until ${made.expiresAt}. It is a secret. On the host:
trysail join --token-file FILE (or - to read it from standard input).\n`,
  );
}

export function registerTokenCommands(program: Command): void {
  const token = program.command('token').description('Make, list and revoke join tokens.');

  token
    .command('create')
    .description('Make a token that lets a host join; prints it.')
    .requiredOption(
      '--allow <pattern>',
      'Which identities the host may have: namespace/account, with * (repeatable).',
      collect,
    )
    .requiredOption('--ca-address <host:port>', 'Where hosts reach the CA (repeatable).', collect)
    .addOption(caDirOption())
    .option('--host <name>', 'Only for the host of this name; also admits a revoked or reinstalled host again.')
    .option('--ttl <duration>', 'How long it can be used.', '1h')
    .option('--uses <number>', 'How many hosts may join with it.', '1')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  trysail token create --ca-address 10.0.0.1:15012 --allow default/reviews > join.token
  trysail token create --ca-address 10.0.0.1:15012 --allow default/reviews | ssh vm-1 sudo trysail join --token-file -
  trysail token create --ca-address ca.example:15012 --allow 'payments/*' --uses 20 --ttl 24h`,
    )
    .action(create);

  token
    .command('list')
    .description('List the tokens, and who has used them.')
    .addOption(caDirOption())
    .addOption(outputOption())
    .action(async ({ dir, output }: { readonly dir: string; readonly output: OutputFormat }) => {
      const { listTokens } = await import('../server/ca-admin.ts');
      await asOwnerOf(dir);
      const tokens = await listTokens(dir);
      process.stdout.write(output === 'text' ? tokensText(tokens) : await serialise(tokens, output));
    });

  token
    .command('revoke')
    .description('Make a token useless; hosts that joined with it stay.')
    .argument('<id>', 'As "trysail token list" shows it.')
    .addOption(caDirOption())
    .action(async (id: string, { dir }: { readonly dir: string }) => {
      const { revokeToken } = await import('../server/ca-admin.ts');
      await asOwnerOf(dir);
      await revokeToken(dir, id);
      process.stdout.write(`Token ${id} is revoked.\n`);
    });
}
