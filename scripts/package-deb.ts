// The Debian package.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { filesBelow, type PackageFacts, ROOT, settle, stageFiles, sumsBelow } from './package-stage.ts';

const SOURCES = join(ROOT, 'packaging/deb');
const MAINTAINER = 'Trysail maintainers <maintainers@trysail.dev>';

function changelog({ version, epoch }: PackageFacts): string {
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  return `trysail (${version}) unstable; urgency=medium\n\n  * Release ${version}.\n\n -- ${MAINTAINER}  ${date}\n`;
}

/** Writes `trysail_<version>_amd64.deb` into `out`; needs dpkg-deb. Returns its path. */
export async function buildDeb(work: string, out: string, facts: PackageFacts, fast: boolean): Promise<string> {
  const stage = join(work, 'deb');
  await stageFiles(stage, facts, 'lib/systemd/system');
  const doc = join(stage, 'usr/share/doc/trysail');
  writeFileSync(join(doc, 'changelog.gz'), gzipSync(changelog(facts), { level: 9 }));
  const overrides = join(stage, 'usr/share/lintian/overrides');
  mkdirSync(overrides, { recursive: true });
  writeFileSync(join(overrides, 'trysail'), readFileSync(join(SOURCES, 'lintian-overrides')));
  const bytes = filesBelow(stage)
    .map((path) => statSync(join(stage, path)))
    .reduce((sum, entry) => sum + (entry.isFile() ? entry.size : 4096), 0);
  const sums = sumsBelow(stage, 'md5');
  const control = join(stage, 'DEBIAN');
  mkdirSync(control);
  writeFileSync(join(control, 'md5sums'), sums);
  writeFileSync(
    join(control, 'control'),
    readFileSync(join(SOURCES, 'control'), 'utf8')
      .replace('@VERSION@', facts.version)
      .replace('@MAINTAINER@', MAINTAINER)
      .replace('@SIZE@', String(Math.ceil(bytes / 1024))),
  );
  for (const name of readdirSync(SOURCES).filter((file) => /^(pre|post)(inst|rm)$/.test(file))) {
    writeFileSync(join(control, name), readFileSync(join(SOURCES, name)));
    chmodSync(join(control, name), 0o755);
  }
  settle(stage, facts.epoch);
  const file = join(out, `trysail_${facts.version}_amd64.deb`);
  const compression = fast ? ['-Znone'] : ['-Zxz', '-z6'];
  execFileSync('dpkg-deb', ['--root-owner-group', ...compression, '--build', stage, file], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, SOURCE_DATE_EPOCH: String(facts.epoch) },
  });
  return file;
}
