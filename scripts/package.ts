/**
 * Makes the packages of a release in dist/packages: deb, rpm, tarball, bill of materials, sums. The same sources make the
 * same bytes (SOURCE_DATE_EPOCH; without it the time of the last commit).
 *
 *   npm run package -- [--out DIR] [--kinds deb,rpm,tarball] [--package-version VERSION] [--fast]
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { VERSION } from '../src/api/version.ts';
import { buildDeb } from './package-deb.ts';
import { buildRpm } from './package-rpm.ts';
import { type PackageFacts, ROOT } from './package-stage.ts';
import { buildTarball } from './package-tarball.ts';

const BUILDERS = {
  deb: { build: buildDeb, needs: ['dpkg-deb', 'strip'] },
  rpm: { build: buildRpm, needs: ['rpmbuild', 'strip'] },
  tarball: { build: buildTarball, needs: ['tar', 'gzip', 'strip'] },
} as const;
type Kind = keyof typeof BUILDERS;

const DEBIAN_PACKAGE: Readonly<Record<string, string>> = { 'dpkg-deb': 'dpkg', rpmbuild: 'rpm', strip: 'binutils' };

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v "$1" >/dev/null', 'sh', program]);
    return true;
  } catch {
    return false;
  }
}

function sourceDate(): number {
  const given = process.env['SOURCE_DATE_EPOCH'];
  const text = given ?? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' });
  const epoch = Number(text);
  if (!Number.isInteger(epoch) || epoch <= 0) throw new Error(`SOURCE_DATE_EPOCH is no time in seconds: ${text}`);
  return epoch;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: join(ROOT, 'dist/packages') },
      kinds: { type: 'string', default: 'deb,rpm,tarball' },
      'package-version': { type: 'string', default: VERSION },
      fast: { type: 'boolean', default: false },
    },
  });
  if (process.arch !== 'x64')
    throw new Error(`packages are made on x86-64 only; see docs/support.md for ${process.arch}`);
  const kinds = values.kinds.split(',').map((kind) => {
    if (!Object.hasOwn(BUILDERS, kind))
      throw new Error(`--kinds: "${kind}" is none of ${Object.keys(BUILDERS).join(', ')}`);
    return kind as Kind;
  });
  const missing = [...new Set(kinds.flatMap((kind) => BUILDERS[kind].needs))].filter(
    (program) => !isInstalled(program),
  );
  if (missing.length > 0) {
    const packages = missing.map((program) => DEBIAN_PACKAGE[program] ?? program).join(' ');
    throw new Error(`not installed: ${missing.join(', ')} (Debian: apt-get install ${packages})`);
  }
  const facts: PackageFacts = { version: values['package-version'], epoch: sourceDate() };
  const work = mkdtempSync(join(tmpdir(), 'trysail-package-'));
  try {
    mkdirSync(values.out, { recursive: true });
    const files: string[] = [];
    for (const kind of kinds) {
      const dir = join(work, kind);
      const file = await BUILDERS[kind].build(dir, values.out, facts, values.fast);
      if (files.length === 0) {
        const sbom = join(values.out, `trysail-${facts.version}.spdx.json`);
        const staged = kind === 'tarball' ? `tarball/${basename(file, '.tar.gz')}/files` : kind;
        writeFileSync(sbom, readFileSync(join(dir, staged, 'usr/share/doc/trysail/sbom.spdx.json')));
        files.push(sbom);
      }
      files.push(file);
      rmSync(dir, { recursive: true, force: true });
    }
    const sums = files.map(
      (file) => `${createHash('sha256').update(readFileSync(file)).digest('hex')}  ${basename(file)}\n`,
    );
    writeFileSync(join(values.out, 'SHA256SUMS'), sums.sort().join(''));
    for (const file of files)
      process.stdout.write(`${(statSync(file).size / 1_000_000).toFixed(1).padStart(6)} MB  ${file}\n`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`package: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
