/** Files, and documents in them, in whatever order: the same configuration, bit by bit. Ages are those that are written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { stringify } from 'yaml';
import type { Diagnostic } from '../../src/model/diagnostic.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources, type ResourceFile } from '../../src/sources/resource-reader.ts';
import { diagnose } from '../../src/translate/diagnose.ts';
import { Translator } from '../../src/translate/translator.ts';
import { bytes, type Drawn, drawn, tries } from './drawn.ts';
import type { Written } from './words.ts';

/** The documents in another order, in files of several. */
function shuffled(resources: readonly Written[], draws: readonly number[]): readonly ResourceFile[] {
  const keyed = resources.map((resource, i) => ({ resource, draw: draws[i % draws.length] ?? 0, i }));
  const files = new Map<string, string[]>();
  for (const { resource, draw } of keyed.toSorted((a, b) => a.draw - b.draw || b.i - a.i)) {
    const file = `${'cba'[draw % 3]}.yaml`;
    files.set(file, [...(files.get(file) ?? []), stringify(resource)]);
  }
  return [...files].map(([file, texts]) => ({ file, text: texts.join('---\n') }));
}

/** What is said, but for where it stands and after what. */
function said(diagnostics: readonly Diagnostic[]): readonly string[] {
  return diagnostics
    .map(({ code, severity, object, path, message, remedy }) =>
      JSON.stringify([code, severity, object, path, message.replaceAll(/\b[abc]\.yaml:\d+/g, 'file'), remedy]),
    )
    .toSorted();
}

function outcome({ config, host }: Drawn, files: readonly ResourceFile[]): object {
  const mesh = buildMesh(undefined, {
    config,
    resources: parseResources(files),
    catalogue: undefined,
    localServices: [],
  });
  const translator = new Translator();
  const made = bytes(translator.translate(mesh, host));
  return { made, said: said([...mesh.diagnostics, ...diagnose(mesh, host), ...translator.failures]) };
}

test('the order of files and documents changes nothing', () => {
  const draws = fc.array(fc.nat(1000), { minLength: 14, maxLength: 14 });
  fc.assert(
    fc.property(drawn, draws, draws, (one, first, second) => {
      assert.deepEqual(
        outcome(one, shuffled(one.resources, first)),
        outcome(one, shuffled(one.resources, second).toReversed()),
      );
    }),
    tries(300),
  );
});
