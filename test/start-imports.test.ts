// What the agent loads before Envoy is started: every module of it lengthens the start of a host.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { build } from 'esbuild';
import { ROOT } from './support/tools.ts';

const STATIC_IMPORT = /^(?:import|export)\b(?!\s+type\b)[^'"]*?\bfrom\s*'(?<from>[^']+)'|^import\s*'(?<bare>[^']+)'/gm;

/** All that is loaded with a module: packages by name, our own modules by their path below src/. */
async function loadedWith(module: string, seen = new Set<string>()): Promise<ReadonlySet<string>> {
  if (seen.has(module)) return seen;
  seen.add(module);
  const text = await readFile(join(ROOT, 'src', module), 'utf8');
  for (const { groups = {} } of text.matchAll(STATIC_IMPORT)) {
    const specifier = groups['from'] ?? groups['bare'] ?? '';
    if (specifier.startsWith('.')) await loadedWith(join(module, '..', specifier), seen);
    else seen.add(specifier);
  }
  return seen;
}

test('before Envoy starts, neither protobuf nor gRPC is loaded, nor the schemas of resources', async () => {
  const loaded = [...(await loadedWith('agent/agent.ts'))];
  assert.ok(loaded.length > 50, 'the agent is made of more than that');
  const heavy = /^(?:gen\/|@bufbuild|@grpc|@peculiar|sources\/|fleet\/follower|analysis\/)/;
  assert.deepEqual(
    loaded.filter((one) => heavy.test(one)),
    [],
  );
});

test('an agent without the fleet, without resources, and with nothing learnt on demand, loads none of what reads these', async () => {
  const loaded = [...(await loadedWith('agent/mesh-side.ts'))];
  assert.ok(loaded.includes('@grpc/grpc-js'), 'the heavy half is loaded here');
  assert.deepEqual(
    loaded.filter((one) =>
      /^(?:fleet|analysis|sources\/kinds)\/|^re2js$|^agent\/(?:learner|called-services)/.test(one),
    ),
    [],
  );
});

test('of the library of schemas only what is used is in the bundle, and none of its languages but English', async () => {
  const { metafile } = await build({
    entryPoints: [join(ROOT, 'src/cli/main.ts')],
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node26',
    write: false,
    metafile: true,
    logLevel: 'error',
  });
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs));
  const languages = inputs.filter(
    ([file, { bytesInOutput }]) => /\/zod\/.*\/locales\/(?!index\.)/.test(file) && bytesInOutput > 0,
  );
  // A module that takes the library as a value (`const { catch: otherwise } = z`) brings in all 64: 400 KB.
  assert.deepEqual(
    languages.map(([file]) => file),
    ['node_modules/zod/v4/locales/en.js'],
  );
});
