import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { MAX_WATCHES } from '../sources/catalogue-watcher.ts';
import { SETTINGS, settingAt } from './settings-list.ts';

test('every setting has a description that begins with a capital and ends with a full stop', () => {
  for (const { path, about } of SETTINGS) assert.match(about, /^[A-Z`].*\.$/s, path);
});

test('every example and every fixed default has the form that the setting needs', () => {
  for (const { path, form, absent } of SETTINGS) {
    if (form === undefined) continue;
    assert.notEqual(form.parse(parse(form.example)), undefined, `example of ${path}: ${form.example}`);
    const fixed = /^`([^`]*)`$/.exec(absent ?? '')?.[1];
    if (fixed !== undefined) assert.notEqual(form.parse(parse(fixed)), undefined, `default of ${path}: ${fixed}`);
  }
});

test('flags and variables are unique and follow from the path', () => {
  const flags = SETTINGS.flatMap(({ flag }) => flag ?? []);
  assert.equal(new Set(flags).size, flags.length);
  const tokenFile = settingAt('identity.ca.joinTokenFile');
  assert.equal(tokenFile?.flag, '--identity-ca-join-token-file');
  assert.equal(tokenFile?.variable, 'TRYSAIL_IDENTITY_CA_JOIN_TOKEN_FILE');
});

test('what stands in a list has neither flag nor variable', () => {
  for (const { path, flag, variable } of SETTINGS)
    if (path.includes('[]')) assert.deepEqual([flag, variable], [undefined, undefined], path);
});

test('a setting is found by the path of a document', () => {
  assert.equal(settingAt('services[3].check.http')?.path, 'services[].check.http');
  assert.equal(settingAt('services[0].labels.team')?.path, 'services[].labels');
  assert.equal(settingAt('services[0].tags[1]')?.path, 'services[].tags');
  assert.equal(settingAt('servicess'), undefined);
});

test('the default number of watches is that of the room that watches', () => {
  // Written twice, so that reading settings does not load half of the agent.
  assert.equal(settingAt('consul.maxWatches')?.absent, `\`${MAX_WATCHES}\``);
});
