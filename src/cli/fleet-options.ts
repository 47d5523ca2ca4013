/** The options that all commands of the fleet's configuration share: which Consul, which root, whose key. */
import { type Command, Option } from 'commander';
import type { FleetAccess, OpenFleet } from '../fleet/fleet.ts';
import type { SigningKey } from '../fleet/signing-key.ts';
import { TrysailError } from '../lib/errors.ts';

/** Where the root's public key lies on hosts, and is looked for here. */
const FLEET_ROOT = '/etc/trysail/fleet-root.pem';

export interface FleetOptions {
  readonly consul: string;
  readonly tokenFile?: string;
  readonly consulCa?: string;
  readonly root: string;
}

export interface KeyOptions {
  readonly key?: string;
}

/** `--consul`, `--token-file`, `--consul-ca`: Consul's own variables count. */
export function addConsulOptions(command: Command): Command {
  const group = 'Consul:';
  return command
    .addOption(
      new Option('--consul <address>', "Consul's HTTP API.")
        .env('CONSUL_HTTP_ADDR')
        .default('http://127.0.0.1:8500')
        .helpGroup(group),
    )
    .addOption(
      new Option('--token-file <file>', 'File with the ACL token.').env('CONSUL_HTTP_TOKEN_FILE').helpGroup(group),
    )
    .addOption(
      new Option('--consul-ca <file>', 'File with the authorities (PEM) of an https address.')
        .env('CONSUL_CACERT')
        .helpGroup(group),
    );
}

/** As `addConsulOptions`, and `--root`. */
export function addFleetOptions(command: Command): Command {
  return addConsulOptions(command).addOption(
    new Option('--root <file>', "File with the root's public key.").env('TRYSAIL_FLEET_ROOT').default(FLEET_ROOT),
  );
}

/** `--key` and `--message`, of commands that change something. */
export function addKeyOption(command: Command): Command {
  return command.addOption(
    new Option('--key <file>', "File with the publisher's private key.").env('TRYSAIL_PUBLISHER_KEY'),
  );
}

export function messageOption(): Option {
  return new Option('-m, --message <text>', 'Why, for the history.');
}

/** Options that may be given several times, collected. */
export const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  value,
];

/** Consul's own variable may lack the scheme. */
export function consulAddress(text: string): string {
  return text.includes('://') ? text : `http://${text}`;
}

function accessOf({ consul, tokenFile, consulCa, root }: FleetOptions): FleetAccess {
  return { consul: consulAddress(consul), tokenFile, caFile: consulCa, root };
}

/** Runs `work` with the fleet that the options name. */
export async function withFleet<T>(options: FleetOptions, work: (fleet: OpenFleet) => Promise<T>): Promise<T> {
  // Commands that may do without the fleet start faster.
  const { openFleet } = await import('../fleet/fleet.ts');
  const fleet = await openFleet(accessOf(options));
  try {
    return await work(fleet);
  } finally {
    fleet.close();
  }
}

/** The key that signs. @throws TrysailError `FLEET_KEY_…` */
export async function signingKeyOf({ key }: KeyOptions): Promise<SigningKey> {
  if (key !== undefined) return (await import('../fleet/signing-key.ts')).readSigningKey(key);
  throw new TrysailError('FLEET_KEY_FILE', 'No key to sign the change with.', {
    remedy:
      'Name your private key by --key or TRYSAIL_PUBLISHER_KEY. "trysail publisher key" makes one, which the root’s owner allows by "trysail publisher add".',
  });
}
