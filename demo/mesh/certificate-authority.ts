/** The mesh's CA on the registry machine: made, served, and asked for join tokens, all by the command line. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Network } from '../machines/network.ts';
import { logTail, type Programs } from '../machines/programs.ts';
import { runCommand } from '../machines/run-command.ts';
import { waitFor } from '../machines/wait.ts';
import { CA_PORT, REGISTRY } from '../topology.ts';
import { TRUST_DOMAIN } from './bookshop-resources.ts';

export interface CertificateAuthority {
  /** A join token, good once, for the identity `default/<account>`. */
  token(account: string): Promise<string>;
}

interface AuthorityOptions {
  readonly network: Network;
  readonly programs: Programs;
  /** Path of `scripts/trysail`. */
  readonly trysail: string;
  readonly signal: AbortSignal;
}

/** Makes a CA for the demo's trust domain and serves it. Throws an Error with the server's log when it ends. */
export async function startAuthority(options: AuthorityOptions): Promise<CertificateAuthority> {
  const { network, programs, trysail, signal } = options;
  const folder = programs.folderOf(REGISTRY);
  const dir = join(folder, 'ca');
  const host = network.addressOf(REGISTRY);
  const address = `${host}:${CA_PORT}`;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await runCommand([trysail, 'ca', 'init', '--dir', dir, '--trust-domain', TRUST_DOMAIN]);

  const configFile = join(folder, 'server.yaml');
  await writeFile(configFile, `ca:\n  dir: ${dir}\n  listen: ${address}\n  names: [${host}]\n`);
  const argv = [trysail, 'server', '--roles', 'ca', '--config', configFile];
  const server = programs.start(REGISTRY, 'ca', argv);
  const connect = network.commandOn(REGISTRY, [process.execPath, '--eval', CONNECT, host, String(CA_PORT)]);
  await waitFor({ what: `the CA listens at ${address}`, timeoutMs: 120_000, signal, everyMs: 100 }, async () => {
    if (server.hasEnded()) return true;
    await runCommand(connect);
    return true;
  });
  if (server.hasEnded()) throw new Error(`trysail server ended at its start:\n${await logTail(server)}`);

  return {
    token: async (account) => {
      const flags = ['--dir', dir, '--ca-address', address, '--allow', `default/${account}`, '--ttl', '1h'];
      return (await runCommand([trysail, 'token', 'create', ...flags])).trim();
    },
  };
}

/** A program that ends with 0 when something accepts connections at its two arguments. */
const CONNECT = `require('node:net').connect(process.argv[2], process.argv[1], () => process.exit(0))`;
