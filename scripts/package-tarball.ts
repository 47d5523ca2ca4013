// The archive with an install script, for systems with neither dpkg nor rpm.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PackageFacts, ROOT, settle, stageFiles, sumsBelow } from './package-stage.ts';

/** Writes `trysail-<version>-linux-amd64.tar.gz` into `out`. Returns its path. */
export async function buildTarball(work: string, out: string, facts: PackageFacts, fast: boolean): Promise<string> {
  const name = `trysail-${facts.version}-linux-amd64`;
  const stage = join(work, 'tarball', name);
  await stageFiles(join(stage, 'files'), facts, 'usr/lib/systemd/system');
  for (const script of ['install.sh', 'uninstall.sh']) {
    copyFileSync(join(ROOT, 'packaging/tarball', script), join(stage, script));
    chmodSync(join(stage, script), 0o755);
  }
  // What uninstall.sh needs on the host, after the archive is gone.
  copyFileSync(join(stage, 'uninstall.sh'), join(stage, 'files/usr/lib/trysail/uninstall'));
  writeFileSync(join(stage, 'files.sha256'), sumsBelow(join(stage, 'files'), 'sha256'));
  settle(stage, facts.epoch);
  const file = join(out, `${name}.tar.gz`);
  const compress = `--use-compress-program=gzip -n ${fast ? '-1' : '-6'}`;
  const same = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=@${facts.epoch}`, '--format=gnu'];
  execFileSync('tar', [...same, compress, '-C', join(work, 'tarball'), '-cf', file, name], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return file;
}
