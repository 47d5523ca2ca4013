// Bundles the program into one file, as packages carry it: dist/trysail.cjs. CommonJS, since grpc-js does not survive
// an ESM bundle ("Dynamic require").
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');

const launcher = (node: string): string => `#!/bin/sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
${readFileSync(join(root, 'scripts/launch.sh'), 'utf8')}
export NODE_COMPILE_CACHE="\${NODE_COMPILE_CACHE-$here/compile-cache}"
exec ${node} $flags "$here/trysail.cjs" "$@"
`;

/** Writes `trysail.cjs`, its launcher `trysail` and Envoy's (`envoy-launcher`) into a folder; returns the launcher's path. */
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
  copyFileSync(join(root, 'src/envoy/launcher.sh'), join(outDir, 'envoy-launcher'));
  chmodSync(join(outDir, 'envoy-launcher'), 0o755);
  const program = join(outDir, 'trysail');
  writeFileSync(program, launcher(process.execPath));
  chmodSync(program, 0o755);
  return program;
}

if (process.argv[1] === import.meta.filename) await bundle();
