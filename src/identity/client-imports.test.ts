import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const STATIC = /^(?:import|export)\b(?!\s+type\b)[^;]*?from '([^']+)'|^import '([^']+)'/gm;

/** The packages that a file loads at once, itself and through what it imports. */
function packagesOf(file: string, seen = new Set<string>()): ReadonlySet<string> {
  const packages = new Set<string>();
  if (seen.has(file)) return packages;
  seen.add(file);
  for (const [, from, bare] of readFileSync(file, 'utf8').matchAll(STATIC)) {
    const specifier = from ?? bare ?? '';
    if (!specifier.startsWith('.')) packages.add(specifier);
    else for (const name of packagesOf(join(dirname(file), specifier), seen)) packages.add(name);
  }
  return packages;
}

test('an agent loads neither the X.509 library nor gRPC and protobuf before it needs a certificate', () => {
  for (const file of ['identity-keeper.ts', 'trysail-ca-provider.ts', 'files-provider.ts']) {
    const packages = [...packagesOf(join(import.meta.dirname, file))];
    assert.deepEqual(
      packages.filter((name) => /x509|reflect-metadata|grpc|protobuf/.test(name)),
      [],
      file,
    );
    assert.ok(packages.includes('node:crypto'), 'the walk sees what there is');
  }
  assert.ok(packagesOf(join(import.meta.dirname, 'ca-server.ts')).has('@peculiar/x509'));
});
