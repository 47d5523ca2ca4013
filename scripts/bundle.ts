// Bundles the program into one file, as packages carry it: dist/trysail.cjs. CommonJS, since grpc-js does not survive
// an ESM bundle ("Dynamic require").
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');

/** The flags and environment with which the program runs; scripts/trysail has the same and says why. */
const launcher = (node: string): string => `#!/bin/sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
export MALLOC_ARENA_MAX="\${MALLOC_ARENA_MAX-1}" NODE_COMPILE_CACHE="\${NODE_COMPILE_CACHE-$here/compile-cache}"
exec ${node} --max-semi-space-size=1 --single-threaded-gc --v8-pool-size=1 "$here/trysail.cjs" "$@"
`;

/** Writes `trysail.cjs` and its launcher `trysail` into a folder; returns the launcher's path. */
export async function bundle(outDir = join(root, 'dist')): Promise<string> {
  mkdirSync(outDir, { recursive: true });
  await build({
    entryPoints: [join(root, 'src/cli/main.ts')],
    outfile: join(outDir, 'trysail.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node26',
    minify: true,
    keepNames: true,
    legalComments: 'linked',
    logLevel: 'warning',
  });
  const program = join(outDir, 'trysail');
  writeFileSync(program, launcher(process.execPath));
  chmodSync(program, 0o755);
  return program;
}

if (process.argv[1] === import.meta.filename) await bundle();
