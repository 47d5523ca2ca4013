/** What is in a package, that the same sources make the same bytes, and what Debian's own checks say of it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { tempDir } from '../support/temp-dir.ts';
import { ROOT } from '../support/tools.ts';
import { outputOf, runCommand } from '../vm/command.ts';

const TOOLS = join(ROOT, 'scripts/package-tools');
const TIMEOUT_MS = 200_000;

async function whyNot(...programs: readonly string[]): Promise<string | false> {
  const { code, stderr } = await runCommand(TOOLS, programs, { timeoutMs: TIMEOUT_MS });
  return code === 0 ? false : stderr.trim();
}

async function build(t: TestContext, ...args: readonly string[]): Promise<string> {
  const out = await tempDir(t);
  const program = [join(ROOT, 'scripts/node'), join(ROOT, 'scripts/package.ts')];
  await outputOf('env', ['SOURCE_DATE_EPOCH=1700000000', ...program, '--fast', '--out', out, ...args], {
    timeoutMs: TIMEOUT_MS,
  });
  return out;
}

const skip = await whyNot('strip', 'dpkg-deb');

test('the Debian package has all its parts, is reproducible, and Debian finds nothing wrong', { skip }, async (t) => {
  const [first, second] = [await build(t, '--kinds', 'deb'), await build(t, '--kinds', 'deb')];
  const name = 'trysail_0.1.0_amd64.deb';
  const deb = join(first, name);
  assert.equal(await readFile(join(second, 'SHA256SUMS'), 'utf8'), await readFile(join(first, 'SHA256SUMS'), 'utf8'));
  await outputOf('sh', ['-c', `cd ${first} && sha256sum --check --strict SHA256SUMS`]);

  const files = await outputOf('dpkg-deb', ['--contents', deb]);
  const parts = `usr/bin/trysail usr/lib/trysail/trysail.cjs usr/lib/trysail/node usr/lib/trysail/envoy
    usr/lib/trysail/envoy-launcher usr/lib/trysail/capture-holder usr/lib/trysail/dns-link
    lib/systemd/system-generators/trysail-unit-order lib/systemd/system/trysail.service lib/systemd/system/trysail-envoy.service etc/trysail/resources.d/
    usr/share/man/man1/trysail.1.gz usr/share/doc/trysail/copyright usr/lib/sysusers.d/trysail.conf usr/lib/tmpfiles.d/trysail.conf`;
  for (const path of parts.split(/\s+/)) assert.match(files, new RegExp(` \\./${path.replaceAll('.', '\\.')}$`, 'm'));
  assert.doesNotMatch(files, /^.{5}w|^.{8}w|^-rws/m, 'nobody but root may write, and nothing is setuid');
  assert.equal((await outputOf('dpkg-deb', ['--info', deb, 'conffiles']).catch(() => '')).trim(), '');

  const sbom = JSON.parse(await readFile(join(first, 'trysail-0.1.0.spdx.json'), 'utf8')) as {
    readonly packages: readonly {
      readonly name: string;
      readonly versionInfo: string;
      readonly licenseDeclared?: string;
    }[];
    readonly relationships: readonly { readonly relationshipType: string; readonly relatedSpdxElement: string }[];
  };
  const listed = new Map(sbom.packages.map((one) => [one.name, one.versionInfo]));
  assert.equal(listed.get('envoy'), (await readFile(join(ROOT, '.tools/envoy/version'), 'utf8')).trim());
  assert.equal(listed.get('node'), process.versions.node);
  const { dependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  for (const [dependency, version] of Object.entries(dependencies)) assert.equal(listed.get(dependency), version);
  assert.equal(listed.has('typescript'), false, 'what only builds it is not in it');

  const noLintian = await whyNot('lintian');
  await t.test('lintian', { skip: noLintian }, async () => {
    // Packages of tests are not compressed.
    const fast = 'uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball';
    const { stdout } = await runCommand('lintian', ['--fail-on', 'none', '--suppress-tags', fast, deb], {
      timeoutMs: TIMEOUT_MS,
    });
    assert.equal(stdout, '');
  });
});

test('a part that is missing, and a kind that there is not, end the build with their names', { skip }, async (t) => {
  const node = join(ROOT, 'scripts/node');
  const unknown = await runCommand(node, [join(ROOT, 'scripts/package.ts'), '--kinds', 'msi']);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /"msi" is none of deb, rpm, tarball/);

  const copy = await tempDir(t);
  await outputOf('sh', [
    '-c',
    `cp -r ${ROOT}/scripts ${ROOT}/packaging ${ROOT}/package.json ${copy}/ && mkdir ${copy}/src && cp -r ${ROOT}/src/. ${copy}/src/ &&
     ln -s ${ROOT}/node_modules ${ROOT}/.tools ${copy}/ && rm ${copy}/src/envoy/launcher.sh`,
  ]);
  const incomplete = await runCommand('env', [
    'SOURCE_DATE_EPOCH=1700000000',
    node,
    join(copy, 'scripts/package.ts'),
    '--fast',
    '--kinds',
    'deb',
    '--out',
    copy,
  ]);
  assert.equal(incomplete.code, 1);
  assert.match(incomplete.stderr, /parts of the package are missing: src\/envoy\/launcher\.sh/);
});
