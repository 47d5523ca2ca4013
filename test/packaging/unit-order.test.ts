/** Which units are to end after this host has left the traffic, as the generator reads them from agent.yaml. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { tempDir } from '../support/temp-dir.ts';
import { ROOT } from '../support/tools.ts';
import { outputOf } from '../vm/command.ts';

async function order(t: TestContext, agentYaml: string | undefined): Promise<string | undefined> {
  const dir = await tempDir(t);
  const file = join(dir, 'agent.yaml');
  if (agentYaml !== undefined) await writeFile(file, agentYaml);
  await outputOf('env', [`TRYSAIL_CONFIG=${file}`, join(ROOT, 'packaging/unit-order'), dir, dir, dir]);
  return readFile(join(dir, 'trysail-drain.service.d/applications.conf'), 'utf8').catch(() => undefined);
}

test('every unit of agent.yaml is named once, however it is written', async (t) => {
  const text = await order(
    t,
    `services:
  - name: orders
    unit: orders.service   # the shop
  - { name: b, unit: "b@1.service" }
  - [{name: c, unit: c.scope}, {"unit":"d-\\x2de.service"}]
  - unit: 'orders.service'
  # unit: not.service
  - { name: x, subunit: not.service, user: unit }
`,
  );
  assert.equal(text, '[Unit]\nAfter=b@1.service\nAfter=c.scope\nAfter=d-\\x2de.service\nAfter=orders.service\n');
});

test('without units, and without a file, nothing is written', async (t) => {
  assert.equal(await order(t, 'services: [{ name: a }]\n'), undefined);
  assert.equal(await order(t, undefined), undefined);
});
