/** Whether the real Envoy takes translated resources, routes and certificates inlined. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { certificateSecret, validationSecret } from '../../src/translate/tls/secrets.ts';
import { type Resource, type Resources, TYPE_URL } from '../../src/xds/resource.ts';
import { envoyBinary } from '../support/tools.ts';
import { testAuthority } from './certificates.ts';
import { staticBootstrap } from './static-bootstrap.ts';

const TIMEOUT_MS = 60_000;
const authority = await testAuthority();
const file = await authority.issue('file.example');
const issued = new Map<string, Promise<readonly Resource[]>>();

/** Certificates of identities and the root, each made once. */
async function secretsOf(identities: readonly string[]): Promise<readonly Resource[]> {
  const all = identities.map(async (identity) => {
    const known = issued.get(identity) ?? authority.secrets(identity);
    issued.set(identity, known);
    return known;
  });
  const found = [...(await Promise.all(all)), await (issued.get('') ?? authority.secrets())].flat();
  return [...new Map(found.map((secret) => [secret.name, secret])).values()];
}

/** Something in the place of each file of certificates: the files are the configuration's, not this machine's. */
function fileSecrets(resources: Resources): readonly Resource[] {
  const names = [...(resources.get(TYPE_URL.secret) ?? new Map<string, Resource>()).keys()];
  return names.map((name) =>
    name.startsWith('file-root:')
      ? validationSecret({ name, rootsPem: authority.rootPem })
      : certificateSecret({ name, ...file }),
  );
}

/**
 * What Envoy says of resources that it refuses, or warns of; undefined where it takes them.
 * @param dir a folder for its bootstrap
 * @param identities whose certificates they name
 */
export async function refusal(
  resources: Resources,
  identities: readonly string[],
  dir: string,
): Promise<string | undefined> {
  const secrets = [...(await secretsOf(identities)), ...fileSecrets(resources)];
  const path = join(dir, 'bootstrap.json');
  await writeFile(path, JSON.stringify(await staticBootstrap(resources, { nodeId: 'test', secrets })), { mode: 0o600 });
  const run = promisify(execFile)(envoyBinary(), ['--mode', 'validate', '--disable-hot-restart', '-c', path], {
    timeout: TIMEOUT_MS,
  });
  return run.then(
    ({ stderr }) => (/deprecated/i.test(stderr) ? stderr : undefined),
    (error: unknown) => String(error),
  );
}
