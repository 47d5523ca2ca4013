// A folder of resources that is rewritten over and over with faults: the agent lives, what has no fault holds.
import assert from 'node:assert/strict';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import * as fc from 'fast-check';
import { stringify } from 'yaml';
import { anyResources } from '../properties/any-resources.ts';
import { mutated } from '../properties/mutations.ts';
import { filesOf } from '../properties/words.ts';
import { eventually } from '../support/eventually.ts';
import { startHost } from '../support/local-mesh.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { get, statusOf, untilStatus } from './agent-state.ts';
import { loopbackNet, startApplication } from './two-hosts.ts';

const SEED = Number(process.env['PROPERTY_SEED'] ?? 20_260_101);
const REWRITES = 200;
/** More than the agent waits after a change, so that most of them are read. */
const PAUSE_MS = 60;
/** Megabytes that the agent may have more than before, faults and their diagnostics included. */
const MOST_MORE_MB = 60;

/** A MeshConfig may well change what becomes of a request that no rule speaks of. */
const ofServices = anyResources.map((all) => all.filter(({ kind }) => kind !== 'MeshConfig'));

function good(port: number, header: string): string {
  const metadata = { name: 'good', creationTimestamp: '2020-01-01T00:00:00Z' };
  const apiVersion = 'networking.istio.io/v1';
  return [
    {
      kind: 'ServiceEntry',
      spec: {
        hosts: ['good.default.mesh'],
        location: 'MESH_INTERNAL',
        resolution: 'STATIC',
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        endpoints: [{ address: '127.0.0.1', ports: { http: port } }],
      },
    },
    {
      kind: 'VirtualService',
      spec: {
        hosts: ['good'],
        http: [{ headers: { request: { set: { 'x-good': header } } }, route: [{ destination: { host: 'good' } }] }],
      },
    },
  ]
    .map((one) => stringify({ apiVersion, metadata, ...one }))
    .join('---\n');
}

async function residentMb(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

test('resources with faults, two hundred times over', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const application = await startApplication(t);
  await writeFile(join(resources, 'good.yaml'), good(application.port, 'first'));
  const listen = await freePort();
  const host = await startHost(t, {
    dir,
    resources,
    name: 'fuzzed',
    address: `${loopbackNet()}.1`,
    upstreams: [
      { service: 'good', listen: `127.0.0.1:${listen}` },
      ...['a', 'b', 'c.shop.mesh'].map((service, i) => ({ service, port: 9080, listen: `unix:${dir}/u${i}.sock` })),
    ],
    meshConfig: { envoyFilters: { namespaces: ['default'] } },
  });
  const url = `http://127.0.0.1:${listen}`;
  const header = async (): Promise<unknown> => {
    const { code, body } = await get(url);
    assert.equal(code, 200, body);
    return (JSON.parse(body) as Readonly<Record<string, unknown>>)['x-good'];
  };
  await eventually('a request passes', async () => (await header()) === 'first');
  const { pid } = host.child.process;
  const before = await residentMb(pid);

  const few = ofServices.map((all) => all.slice(0, 5));
  const texts = fc.sample(few.chain(mutated), { numRuns: REWRITES, seed: SEED });
  let most = 0;
  for (const [i, text] of texts.entries()) {
    const path = join(resources, `m${i % 3}.yaml`);
    // Half of them in place, as some editors write.
    if (i % 2 === 0) await writeFile(path, text);
    else {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    }
    await delay(PAUSE_MS);
    if (i % 10 === 0) {
      assert.equal(await header(), 'first', `after ${i} of seed ${SEED}`);
      most = Math.max(most, (await statusOf(host)).diagnostics.length);
    }
  }
  assert.ok(most > 0, 'nothing was said of any fault');

  // It still takes what is right, beside what is not, and everything again when the faults are gone.
  await writeFile(join(resources, 'good.yaml'), good(application.port, 'second'));
  await eventually('the new header is sent', async () => (await header()) === 'second');
  const whole = fc.sample(ofServices, { numRuns: 1, seed: SEED })[0] ?? [];
  for (const i of [0, 1, 2]) await writeFile(join(resources, `m${i}.yaml`), '');
  await writeFile(join(resources, 'm0.yaml'), filesOf(whole.slice(0, 1))[0]?.text ?? '');
  const status = await untilStatus(host, 'no syntax errors', ({ diagnostics }) =>
    diagnostics.every(({ code }) => code !== 'TRY0001'),
  );
  assert.equal(status.agent.state, 'running');
  assert.equal(host.child.process.pid, pid);
  const more = (await residentMb(pid)) - before;
  assert.ok(more < MOST_MORE_MB, `the agent has ${more.toFixed(0)} MB more than the ${before.toFixed(0)} of its start`);
  t.diagnostic(`${most} diagnostics at most, ${more.toFixed(0)} MB more than ${before.toFixed(0)}`);
});
