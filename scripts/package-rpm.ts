// The RPM package.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, type PackageFacts, ROOT, settle, stageFiles } from './package-stage.ts';

/** Folders that belong to the package, and not to the system. */
const OWN_FOLDER = /^(usr\/lib\/trysail|etc\/trysail|usr\/share\/doc\/trysail)(\/|$)/;

function fileList(stage: string): string {
  return filesBelow(stage)
    .flatMap((path) => {
      if (statSync(join(stage, path)).isDirectory()) return OWN_FOLDER.test(path) ? [`%dir /${path}`] : [];
      return [`/${path}`];
    })
    .join('\n');
}

/** Writes `trysail-<version>-1.x86_64.rpm` into `out`; needs rpmbuild. Returns its path. */
export async function buildRpm(work: string, out: string, facts: PackageFacts, fast: boolean): Promise<string> {
  const stage = join(work, 'rpm');
  const top = join(work, 'rpmbuild');
  await stageFiles(stage, facts, 'usr/lib/systemd/system');
  settle(stage, facts.epoch);
  mkdirSync(top, { recursive: true });
  const spec = join(top, 'trysail.spec');
  writeFileSync(
    spec,
    readFileSync(join(ROOT, 'packaging/rpm/trysail.spec'), 'utf8')
      .replace('@VERSION@', facts.version)
      .replace('@STAGE@', stage)
      .replace('@FILES@', fileList(stage)),
  );
  const defines = {
    _topdir: top,
    _buildhost: 'reproducible',
    use_source_date_epoch_as_buildtime: '1',
    clamp_mtime_to_source_date_epoch: '1',
    _binary_payload: fast ? 'w.ufdio' : 'w15.zstdio',
  };
  execFileSync(
    'rpmbuild',
    [
      '-bb',
      '--quiet',
      '--target',
      'x86_64',
      ...Object.entries(defines).flatMap(([key, value]) => ['--define', `${key} ${value}`]),
      spec,
    ],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, SOURCE_DATE_EPOCH: String(facts.epoch), LC_ALL: 'C.UTF-8' },
    },
  );
  const name = `trysail-${facts.version}-1.x86_64.rpm`;
  copyFileSync(join(top, 'RPMS/x86_64', name), join(out, name));
  return join(out, name);
}
