// Bundles the program into one file, as packages carry it: dist/trysail.cjs. CommonJS, since grpc-js does not survive
// an ESM bundle ("Dynamic require").
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..');

const launcher = (node: string): string => `#!/bin/sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
${readFileSync(join(root, 'scripts/launch.sh'), 'utf8')}
export NODE_COMPILE_CACHE="\${NODE_COMPILE_CACHE-$here/compile-cache}"
exec ${node} $flags "$here/trysail.cjs" "$@"
`;

/** Classes of JavaScript itself, whose names stay. */
const BUILT_IN = new Set(['AsyncFunction']);

/**
 * Short names for functions and classes: to keep theirs (`keepNames`) costs an agent 2 MB. One library asks for the name
 * of a class, and gets the constant that this class has instead; another that asks is an error here.
 */
const shortNames: Plugin = {
  name: 'short names',
  setup(building) {
    building.onLoad({ filter: /\/node_modules\/.*\.[cm]?js$/ }, ({ path }) => {
      const contents = readFileSync(path, 'utf8').replaceAll(
        // Of asn1js, in @peculiar/asn1-schema.
        '.constructor.name === "Sequence"',
        '.constructor.NAME === "SEQUENCE"',
      );
      for (const [, name = ''] of contents.matchAll(/\.constructor\.name\s*[!=]==?\s*["'](\w+)["']/g))
        if (!BUILT_IN.has(name))
          throw new Error(`${path} asks for the name of the class ${name}, which the bundle does not keep`);
      return { contents, loader: 'js' };
    });
  },
};

/** Writes `trysail.cjs` with its source map, its launcher `trysail` and Envoy's (`envoy-launcher`) into a folder; returns the launcher's path. */
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
    plugins: [shortNames],
    // What a line and column of a stack trace are in the sources; no package has it.
    sourcemap: 'external',
    sourcesContent: false,
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
