// Bundles the program into one file, as packages carry it: dist/trysail.cjs. CommonJS, since grpc-js does not survive
// an ESM bundle ("Dynamic require").
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');

/** Writes the bundle and returns its path. */
export async function bundle(outFile = join(root, 'dist/trysail.cjs')): Promise<string> {
  mkdirSync(join(outFile, '..'), { recursive: true });
  await build({
    entryPoints: [join(root, 'src/cli/main.ts')],
    outfile: outFile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node26',
    minify: true,
    keepNames: true,
    legalComments: 'linked',
    logLevel: 'warning',
  });
  return outFile;
}

if (process.argv[1] === import.meta.filename) await bundle();
