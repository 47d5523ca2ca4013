import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffLines } from './change-text.ts';
import { printableLines } from './output.ts';

test('what somebody else has published cannot command the terminal', () => {
  const after = 'kind: VirtualService # \u001b[2J\n\tspec: "\u202e\u009b1A"\r\nend\rEND\n';
  const changes = [
    { action: 'changed', kind: 'VirtualService', namespace: 'shop', name: 'web', before: 'kind: x\n', after } as const,
  ];
  const shown = diffLines(changes).join('\n');
  for (const char of ['\u001b', '\u009b', '\u202e', '\rE']) assert.ok(!shown.includes(char), JSON.stringify(shown));
  assert.match(shown, /\\u\{1b\}\[2J/);
  assert.match(printableLines(after), /\\u\{202e\}\\u\{9b\}1A"\r\nend\\u\{d\}END\n$/);
});

test('YAML as people write it stays as it is, line ends of other systems included', () => {
  const text = 'a:\r\n\t# \u{1f469}\u200d\u{1f4bb} é “quoted”\n  - b\n';
  assert.equal(printableLines(text), text);
});
