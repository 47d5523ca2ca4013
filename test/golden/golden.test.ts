/**
 * Each folder beside this file is a case: `in.yaml` (Istio), `host.yaml` (this host) and, if wanted, `mesh.yaml` must
 * give `envoy.yaml` and `diagnostics.yaml`, and the real Envoy must take it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { certificateSecret, validationSecret } from '../../src/translate/tls/secrets.ts';
import { type Resource, type Resources, TYPE_URL } from '../../src/xds/resource.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { testAuthority } from '../translate/certificates.ts';
import { staticBootstrap } from '../translate/static-bootstrap.ts';
import { caseNames, loadCase } from './golden-case.ts';

const DIR = import.meta.dirname;
const rewrite = process.env['GOLDEN'] === 'write';
const authority = await testAuthority();

/** Something in the place of each file of certificates: the files are the case's, not this machine's. */
async function fileSecrets(resources: Resources): Promise<readonly Resource[]> {
  const names = [...(resources.get(TYPE_URL.secret) ?? new Map()).keys()];
  return Promise.all(
    names.map(async (name: string) =>
      name.startsWith('file-root:')
        ? validationSecret({ name, rootsPem: authority.rootPem })
        : certificateSecret({ name, ...(await authority.issue('golden.example')) }),
    ),
  );
}

for (const name of caseNames(DIR)) {
  test(`golden ${name}`, async (t) => {
    const golden = loadCase(DIR, name);
    assert.equal(loadCase(DIR, name).output, golden.output, 'two translations differ');
    for (const [file, made] of [
      ['envoy.yaml', golden.output],
      ['diagnostics.yaml', golden.diagnostics],
    ] as const) {
      const path = join(golden.dir, file);
      if (rewrite) writeFileSync(path, made);
      const expected = existsSync(path) ? readFileSync(path, 'utf8') : '';
      assert.equal(made, expected, `${path} differs. If the change is meant: npm run golden, then read the diff.`);
    }
    for (const { code, object, message, remedy } of golden.said)
      assert.ok(message !== '' && remedy !== undefined && /[.!?]$/.test(remedy), `${code} of ${object}: no remedy`);

    const dir = await tempDir(t);
    const bootstrap = join(dir, 'bootstrap.json');
    const secrets = [...(await authority.secrets(...golden.identities)), ...(await fileSecrets(golden.resources))];
    await writeFile(bootstrap, JSON.stringify(await staticBootstrap(golden.resources, { nodeId: name, secrets })), {
      mode: 0o600,
    });
    const run = promisify(execFile)(envoyBinary(), ['--mode', 'validate', '--disable-hot-restart', '-c', bootstrap]);
    const { stderr } = await run.catch((error: unknown) => {
      throw new Error(`Envoy refuses the resources of ${name}`, { cause: error });
    });
    assert.doesNotMatch(stderr, /deprecated/i, stderr);
  });
}
