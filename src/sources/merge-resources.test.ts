import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergeResources } from './merge-resources.ts';
import { parseResources } from './resource-reader.ts';

function rule(name: string, host: string): string {
  return JSON.stringify({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name },
    spec: { host },
  });
}

const fleetFile = (name: string, host: string, createdMs: number): Parameters<typeof parseResources>[0][number] => ({
  file: `consul:default/DestinationRule/${name}@1`,
  text: rule(name, host),
  single: { key: `DestinationRule/default/${name}`, createdMs },
});

const fleet = parseResources([fleetFile('b', 'fleet', 2000), fleetFile('c', 'fleet', 1000)]);
const local = parseResources([
  { file: 'a.yaml', text: rule('a', 'local') },
  { file: 'b.yaml', text: rule('b', 'local') },
]);

test('the fleet’s resources hold, and are older than all files', () => {
  const merged = mergeResources(undefined, fleet, local);
  assert.deepEqual(
    merged.destinationRules.map(({ meta, host }) => `${meta.name} ${host}`),
    ['c fleet', 'b fleet', 'a local'],
  );
  assert.deepEqual(
    merged.diagnostics.map(({ code, source }) => [code, source?.file]),
    [['TRY0708', 'b.yaml']],
  );
});

test('what did not change keeps its object', () => {
  const merged = mergeResources(undefined, fleet, local);
  const again = mergeResources(merged, fleet, local);
  assert.equal(again.destinationRules, merged.destinationRules);
  assert.equal(again.diagnostics, merged.diagnostics);
  const more = mergeResources(merged, parseResources([fleetFile('d', 'fleet', 3000)]), local);
  assert.equal(more.destinationRules.at(-2), merged.destinationRules.at(-1), 'the file’s a');
});

test('a resource that its source knows by name: another text is a fault, a fault keeps what was', () => {
  const wrong = parseResources([{ ...fleetFile('b', 'fleet', 1), text: rule('x', 'fleet') }]);
  assert.deepEqual([wrong.destinationRules.length, wrong.diagnostics[0]?.code], [0, 'TRY0705']);
  const two = parseResources([
    { ...fleetFile('b', 'fleet', 1), text: `${rule('b', 'fleet')}\n---\n${rule('x', 'y')}` },
  ]);
  assert.deepEqual([two.destinationRules.length, two.diagnostics[0]?.code], [0, 'TRY0705']);
});
