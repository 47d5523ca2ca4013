import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { checkConfiguration } from './check.ts';
import { loadAgentSettings } from './settings-load.ts';

async function check(t: TestContext, files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'trysail-check-'));
  t.after(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, 'resources'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  const file = join(dir, 'agent.yaml');
  const machine = { hostName: 'vm-1', address: '10.0.0.5', cores: 2 };
  const report = await checkConfiguration(file, loadAgentSettings({ file, flags: {}, env: {}, machine }));
  return report.diagnostics.map((diagnostic) => formatDiagnostic(diagnostic).replaceAll(`${dir}/`, ''));
}

const AGENT = 'mesh: {config: mesh.yaml, resources: resources}\n';

const ROUTE = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - route:
        - destination: {host: reviews}
`;

test('a resource that refers to what no file defines is told where there is no Consul, and only there', async (t) => {
  const files = { 'mesh.yaml': '', 'resources/reviews.yaml': ROUTE };
  const [issue = '', ...more] = await check(t, { 'agent.yaml': `registry: files\n${AGENT}`, ...files });
  assert.match(issue, /^resources\/reviews\.yaml:\d+: \w+ IST0101 VirtualService default\/reviews /);
  assert.deepEqual(more, []);
  assert.deepEqual(await check(t, { 'agent.yaml': AGENT, ...files }), []);
});

test('an upstream that nothing defines is told where there is no Consul, and only there', async (t) => {
  const host = 'services: [{name: a}]\nupstreams: [{service: ratings, listen: 127.0.0.1:9082}]\n';
  const [issue = '', ...more] = await check(t, { 'agent.yaml': `registry: files\n${AGENT}${host}`, 'mesh.yaml': '' });
  assert.match(issue, /^warning TRY0401 upstream ratings\.default\.mesh at 127\.0\.0\.1:9082: nothing is known of it/);
  assert.deepEqual(more, []);
  assert.deepEqual(await check(t, { 'agent.yaml': `${AGENT}${host}`, 'mesh.yaml': '' }), []);
});

test('a service by name has its address in the check as with the agent, and nothing is saved', async (t) => {
  const issues = await check(t, {
    'agent.yaml': `${AGENT}paths: {state: state}\nservices: [{name: a}]\nupstreams: [{service: ratings}]\n`,
    'mesh.yaml': '',
    'resources/ratings.yaml':
      'apiVersion: trysail.dev/v1\nkind: Service\nmetadata: {name: ratings}\nspec: {ports: [{number: 9080, protocol: HTTP}]}\n',
  });
  assert.deepEqual(issues, []);
});

test('the resources are checked also where the settings contradict each other', async (t) => {
  const issues = await check(t, {
    'agent.yaml': `${AGENT}consul: {keyFile: /nonexistent}\n`,
    'mesh.yaml': 'trustDomain: UPPER\n',
    'resources/a.yaml': 'kind: [',
  });
  assert.deepEqual(
    [...new Set(issues.map((issue) => issue.split(':', 1)[0]))],
    ['agent.yaml', 'mesh.yaml', 'resources/a.yaml'],
  );
});

test('a meshconfig.yaml that is named and missing is told once', async (t) => {
  assert.deepEqual(await check(t, { 'agent.yaml': AGENT }), [
    'agent.yaml:1: error TRY0903 mesh.config: mesh.yaml does not exist. Create the file, or correct the path.',
  ]);
});
