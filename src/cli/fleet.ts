/** `trysail fleet` and `trysail publisher`: what the owner of the configuration's root does. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Argument, type Command, Option } from 'commander';
import type { OpenFleet } from '../fleet/fleet.ts';
import type { PublisherSummary } from '../fleet/fleet-admin.ts';
import type { Repaired } from '../fleet/repair.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import {
  addConsulOptions,
  addFleetOptions,
  collect,
  consulAddress,
  type FleetOptions,
  withFleet,
} from './fleet-options.ts';
import { kindNamed } from './kind-name.ts';
import { alignColumns, type OutputFormat, outputOption, serialise } from './output.ts';

interface InitOptions extends Omit<FleetOptions, 'root'> {
  readonly dir: string;
  readonly publisher: string;
  readonly localResources: 'allow' | 'deny';
}

interface RootOptions extends FleetOptions {
  readonly rootKey: string;
}

interface AddOptions extends RootOptions {
  readonly publicKey: string;
  readonly namespace: readonly string[];
  readonly kind?: readonly string[];
  readonly mayFreeze?: boolean;
}

const rootKeyOption = (): Option =>
  new Option('--root-key <file>', "File with the root's private key.").makeOptionMandatory();

function localOption(): Option {
  return new Option('--local-resources <word>', 'Whether resource files on hosts count beside the fleet’s.')
    .choices(['allow', 'deny'])
    .default('deny');
}

/** @throws TrysailError `FLEET_KEY_FILE` */
async function makeFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new TrysailError('FLEET_KEY_FILE', `The folder ${dir} cannot be made: ${errorMessage(error)}.`, {
      remedy: 'Name one by --dir that is yours.',
      cause: error,
    });
  }
}

async function init(options: InitOptions): Promise<void> {
  const { fleetExists, initialiseFleet, refusePublisher } = await import('../fleet/fleet-admin.ts');
  const { publicFileOf, publicHalf, writeNewKey } = await import('../fleet/signing-key.ts');
  const { openConsul } = await import('../fleet/fleet.ts');
  const { dir, consul, tokenFile, consulCa: caFile, publisher } = options;
  // Before keys are made that nobody needs.
  refusePublisher({ name: publisher, namespaces: ['*'], kinds: ['*'] });
  const store = openConsul({ consul: consulAddress(consul), tokenFile, caFile });
  try {
    if (await fleetExists(store))
      throw new TrysailError('FLEET_EXISTS', 'Consul has a fleet configuration already.', {
        remedy: 'Add publishers to it with "trysail publisher add"; its root key signs that.',
      });
    const [rootFile, keyFile] = [join(dir, 'fleet-root.key'), join(dir, `${publisher}.key`)];
    await makeFolder(dir);
    const root = await writeNewKey(rootFile);
    const first = await writeNewKey(keyFile);
    await initialiseFleet(
      store,
      root,
      { name: publisher, publicKey: publicHalf(first), namespaces: ['*'], kinds: ['*'], mayFreeze: true },
      options.localResources,
    );
    process.stdout.write(`The fleet's configuration is begun. Made:
  ${rootFile}  the root: says who may publish. Keep it offline; who has it owns the mesh.
  ${publicFileOf(rootFile)}  its public half: what hosts trust.
  ${keyFile}  the publisher "${publisher}", for all namespaces and kinds.
Next:
  1. Put ${publicFileOf(rootFile)} on every host as /etc/trysail/fleet-root.pem, and restart its agent.
  2. trysail apply -f resources/ --key ${keyFile} --root ${publicFileOf(rootFile)}
  3. Let each team publish for itself: trysail publisher key team.key; trysail publisher add …
`);
  } finally {
    store.close();
  }
}

function repairedLine({ namespace, revision, collected = 0, headless }: Repaired): string {
  if (headless === true)
    return `${namespace} has no head, nor a copy of one: nothing was published there, or a snapshot of Consul has it.\n`;
  return revision === undefined
    ? `${namespace}: ${collected} key${collected === 1 ? '' : 's'} collected that nothing refers to.\n`
    : `${namespace} is at revision ${revision} again.\n`;
}

export function registerFleetCommands(program: Command): void {
  const fleet = program.command('fleet').description("Begin and look after the fleet's configuration in Consul.");
  addConsulOptions(
    fleet
      .command('init')
      .description('Make the root key and a first publisher, and begin the configuration in Consul.')
      .option('--dir <folder>', 'Where the keys go; made if it is not there.', '.')
      .option('--publisher <name>', 'The name of the first publisher.', 'admin')
      .addOption(localOption())
      .addHelpText(
        'after',
        `
Example:
  trysail fleet init --dir keys`,
      ),
  ).action(init);

  addFleetOptions(
    fleet
      .command('local-resources')
      .description('Say whether resource files on hosts count beside the fleet’s configuration.')
      .addArgument(new Argument('<word>', 'Whether they count.').choices(['allow', 'deny']))
      .addOption(rootKeyOption())
      .addHelpText(
        'after',
        `
Example:
  trysail fleet local-resources allow --root-key keys/fleet-root.key`,
      ),
  ).action(async (word: 'allow' | 'deny', options: RootOptions) => {
    const { setLocalResources } = await import('../fleet/fleet-admin.ts');
    const { readSigningKey } = await import('../fleet/signing-key.ts');
    const root = await readSigningKey(options.rootKey, '--root-key');
    await withFleet(options, async (open) => setLocalResources(open, root, word));
    process.stdout.write(`Resource files on hosts ${word === 'allow' ? 'count too' : 'do not count'}.\n`);
  });

  addFleetOptions(
    fleet
      .command('repair')
      .description(
        'Put the newest revision that verifies back where somebody has overwritten it, and collect leftovers.',
      )
      .option('--list <file>', 'First the list of publishers, as a host keeps it: fleet/mesh.json of its state folder.')
      .addHelpText(
        'after',
        `
Examples:
  trysail fleet repair
  trysail fleet repair --list /var/lib/trysail/fleet/mesh.json`,
      ),
  ).action(async (options: FleetOptions & { readonly list?: string }) => {
    await withFleet(options, async (open) => repair(open, options.list));
  });
}

/** @throws TrysailError `FLEET_LIST_FILE` */
async function readList(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new TrysailError(
      'FLEET_LIST_FILE',
      `The list of publishers ${file} cannot be read: ${errorMessage(error)}.`,
      {
        remedy: 'Name fleet/mesh.json of the state folder of a host, or a copy of it.',
        cause: error,
      },
    );
  }
}

async function repair(open: OpenFleet, listFile: string | undefined): Promise<void> {
  const { repairFleet, restoreList } = await import('../fleet/repair.ts');
  const { freezeReport } = await import('../fleet/freeze.ts');
  const revision = listFile === undefined ? undefined : await restoreList(open, await readList(listFile));
  if (revision !== undefined) process.stdout.write(`The list of publishers is at revision ${revision} again.\n`);
  const repaired = await repairFleet(open);
  process.stdout.write(repaired.map(repairedLine).join(''));
  // Throws where the mark is lost, which nobody but a key can make again.
  await freezeReport(open);
  if (revision === undefined && repaired.length === 0) process.stdout.write('All that is in Consul verifies.\n');
}

function publishersText(publishers: readonly PublisherSummary[]): string {
  const rows = publishers.map((one) => [
    one.name,
    one.key,
    one.namespaces.join(', '),
    one.kinds.join(', '),
    one.mayFreeze ? 'yes' : 'no',
    one.revokedAt === undefined ? 'active' : `revoked ${one.revokedAt}`,
  ]);
  return `${alignColumns([['NAME', 'KEY', 'NAMESPACES', 'KINDS', 'MAY FREEZE', 'STATE'], ...rows]).join('\n')}\n`;
}

export function registerPublisherCommands(program: Command): void {
  const publisher = program.command('publisher').description("Say who may publish what in the fleet's configuration.");

  publisher
    .command('key')
    .description('Make a key to publish with; its public half is for "trysail publisher add".')
    .argument('<file>', 'Where the private key goes, such as shop.key.')
    .addHelpText(
      'after',
      `
Example:
  trysail publisher key shop.key`,
    )
    .action(async (file: string) => {
      const { publicFileOf, writeNewKey } = await import('../fleet/signing-key.ts');
      const { id } = await writeNewKey(file);
      process.stdout.write(`${file}  the private key (${id}): a secret.\n${publicFileOf(file)}  its public half.\n`);
    });

  addFleetOptions(
    publisher
      .command('add')
      .description('Let a key publish.')
      .argument('<name>', 'Of the publisher, such as shop-team.')
      .requiredOption('--public-key <file>', 'File with its public key.')
      .requiredOption('--namespace <pattern>', 'Where: shop, team-* or * (repeatable).', collect)
      .option('--kind <kind>', 'Only this kind (repeatable; default: all).', collect)
      .option('--may-freeze', 'It may freeze all changes.')
      .addOption(rootKeyOption())
      .addHelpText(
        'after',
        `
Example:
  trysail publisher add shop-team --public-key shop.pub.pem --namespace shop --kind VirtualService --kind DestinationRule \\
    --root-key keys/fleet-root.key`,
      ),
  ).action(async (name: string, options: AddOptions) => {
    const { addPublisher } = await import('../fleet/fleet-admin.ts');
    const { readPublicKeys, readSigningKey } = await import('../fleet/signing-key.ts');
    const [publicKey] = await readPublicKeys(options.publicKey, '--public-key');
    const root = await readSigningKey(options.rootKey, '--root-key');
    if (publicKey === undefined) return;
    const kinds = options.kind?.map((kind) => (kind === '*' ? kind : kindNamed(kind))) ?? ['*'];
    const added = { name, publicKey, namespaces: options.namespace, kinds, mayFreeze: options.mayFreeze === true };
    await withFleet(options, async (fleet) => addPublisher(fleet, root, added));
    process.stdout.write(`${name} may publish ${kinds.join(', ')} in ${options.namespace.join(', ')}.\n`);
  });

  addFleetOptions(
    publisher
      .command('list')
      .description('List who may publish what.')
      .addOption(outputOption())
      .addHelpText(
        'after',
        `
Example:
  trysail publisher list`,
      ),
  ).action(async (options: FleetOptions & { readonly output: OutputFormat }) => {
    const { listPublishers } = await import('../fleet/fleet-admin.ts');
    const publishers = await withFleet(options, listPublishers);
    process.stdout.write(
      options.output === 'text' ? publishersText(publishers) : await serialise(publishers, options.output),
    );
  });

  addFleetOptions(
    publisher
      .command('revoke')
      .description('Take nothing new of a publisher from now on; what it published stands.')
      .argument('<name>', 'As "trysail publisher list" shows it.')
      .addOption(rootKeyOption())
      .addHelpText(
        'after',
        `
Example:
  trysail publisher revoke shop-team --root-key keys/fleet-root.key`,
      ),
  ).action(async (name: string, options: RootOptions) => {
    const { revokePublisher } = await import('../fleet/fleet-admin.ts');
    const { readSigningKey } = await import('../fleet/signing-key.ts');
    const root = await readSigningKey(options.rootKey, '--root-key');
    await withFleet(options, async (fleet) => revokePublisher(fleet, root, name));
    process.stdout.write(
      `${name} is revoked. What it published stands: look at it with "trysail history -A" and "trysail get -A".\n`,
    );
  });
}
