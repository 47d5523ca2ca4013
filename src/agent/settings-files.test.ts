import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { issuesOf, loadYaml, MACHINE, settingsFolder, settingsOf } from './settings-fixture.ts';
import { loadAgentSettings } from './settings-load.ts';

test('a secret that others could read is refused, and 0600, 0640 and 0400 are not', (t) => {
  const dir = settingsFolder(t);
  const token = join(dir, 'token');
  writeFileSync(token, 'x');
  const yaml = `consul: {tokenFile: ${token}}\n`;
  for (const mode of [0o600, 0o640, 0o400]) {
    chmodSync(token, mode);
    assert.equal(settingsOf(loadYaml(t, yaml)).consul.tokenFile, token);
  }
  for (const mode of [0o644, 0o604, 0o660, 0o666]) {
    chmodSync(token, mode);
    assert.deepEqual(issuesOf(loadYaml(t, yaml)), [
      `agent.yaml:1: error TRY0903 consul.tokenFile: ${token} has mode 0${mode.toString(8)}: others than its owner and group could read or change this secret. Run: chmod 0600 ${token}`,
    ]);
  }
});

test('a token file that is missing is refused, a join token that is missing is not', (t) => {
  const loaded = loadYaml(
    t,
    'consul: {tokenFile: /nonexistent/token}\nidentity: {ca: {joinTokenFile: /nonexistent/join}}\n',
  );
  assert.deepEqual(issuesOf(loaded), [
    'agent.yaml:1: error TRY0903 consul.tokenFile: /nonexistent/token does not exist. Create the file, or correct the path.',
  ]);
});

test('relative secrets lie among the credentials or beside agent.yaml', (t) => {
  const dir = settingsFolder(t);
  const credentials = settingsFolder(t);
  const file = join(dir, 'agent.yaml');
  for (const path of [join(dir, 'beside'), join(dir, 'both'), join(credentials, 'both'), join(credentials, 'only')])
    writeFileSync(path, 'x', { mode: 0o600 });
  const resolved = (tokenFile: string): string | undefined => {
    writeFileSync(file, `consul: {tokenFile: "${tokenFile}"}\nmesh: {resources: resources.d}\n`);
    const env = { CREDENTIALS_DIRECTORY: credentials };
    const settings = settingsOf(loadAgentSettings({ file, flags: {}, env, machine: MACHINE }));
    assert.equal(settings.mesh.resourcesDir, join(dir, 'resources.d'));
    return settings.consul.tokenFile;
  };
  assert.equal(resolved('beside'), join(dir, 'beside'));
  assert.equal(resolved('both'), join(credentials, 'both'));
  assert.equal(resolved('${CREDENTIALS_DIRECTORY}/only'), join(credentials, 'only'));
});
