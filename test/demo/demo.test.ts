/** The whole demo, as a newcomer runs it: its checks hold, and nothing of it is left, however it ends. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { type Child, startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/tools.ts';

const isRoot = process.getuid?.() === 0;

function startDemo(t: TestContext, ...args: readonly string[]): Child {
  return startChild(t, join(ROOT, 'scripts/demo'), args, { env: { ...process.env, NO_COLOR: '1' } });
}

/** The folder that this run of the demo names in its output. */
function runFolder(demo: Child): string | undefined {
  const id = /\.tools\/demo\/(?<id>[0-9a-z]+) and goes with it/.exec(demo.output())?.groups?.['id'];
  return id === undefined ? undefined : join(ROOT, '.tools/demo', id);
}

/** Everything of a run that is still on this computer, in words. */
function remainsOf(folder: string): readonly string[] {
  const remains: string[] = [];
  if (existsSync(folder)) remains.push(`folder ${folder}`);
  for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
    try {
      const facts = ['cmdline', 'environ'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'utf8'));
      if (facts.some((text) => text.includes(folder))) remains.push(`process ${pid}: ${facts[0]}`);
    } catch {
      // It has ended.
    }
  }
  const id = folder.slice(folder.lastIndexOf('/') + 1);
  if (isRoot && existsSync('/var/run/netns'))
    remains.push(...readdirSync('/var/run/netns').filter((name) => name.startsWith(`trysail-${id}-`)));
  return remains;
}

function assertNothingRemains(demo: Child): void {
  const folder = runFolder(demo);
  assert.ok(folder !== undefined, `the demo names its folder:\n${demo.output()}`);
  assert.deepEqual(remainsOf(folder), []);
}

const applicationsRun = (demo: Child): Promise<void> => until(demo, /✓ bookshop/, 300_000);

async function until(demo: Child, said: RegExp, timeoutMs: number): Promise<void> {
  const ended = demo.exited.then((code) => {
    throw new Error(`the demo ended with ${code}:\n${demo.output()}`);
  });
  await Promise.race([ended, eventually(`the demo says ${said.source}`, () => said.test(demo.output()), timeoutMs)]);
}

const interfaces = (): readonly string[] => readdirSync('/sys/class/net');

describe('scripts/demo', { concurrency: false }, () => {
  it('holds all its checks on network namespaces', { skip: !isRoot && 'needs root', timeout: 1_200_000 }, async (t) => {
    const before = interfaces();
    const demo = startDemo(t, '--check');
    assert.equal(await demo.exited, 0, demo.output());
    assert.match(demo.output(), /network namespaces/);
    assert.match(demo.output(), /Every check held/);
    assertNothingRemains(demo);
    assert.deepEqual(interfaces(), before);
  });

  it('holds all its checks on loopback addresses', { timeout: 1_200_000 }, async (t) => {
    const demo = startDemo(t, '--check', '--loopback');
    assert.equal(await demo.exited, 0, demo.output());
    assert.match(demo.output(), /Every check held/);
    assertNothingRemains(demo);
  });

  it('stays up, and what it says to try works', { timeout: 900_000 }, async (t) => {
    const demo = startDemo(t, '--loopback', '--only', 'header routing');
    await until(demo, /Up until Ctrl-C/, 600_000);
    const url = /http:\/\/127\.0\.0\.1:[0-9]+$/m.exec(demo.output())?.[0] ?? '';
    const page = await (await fetch(`${url}/?user=jason`)).text();
    assert.match(page, /Sailing Alone Around the World/);
    assert.match(page, /class="stars black"/);
    const api = (await (await fetch(`${url}/api/v1/products/1`)).json()) as { reviews: { version: string } };
    assert.equal(api.reviews.version, 'v3');
    const command = /^ *(?<command>\S*trysail status .*)$/m.exec(demo.output())?.groups?.['command'] ?? '';
    const [program = '', ...args] = command.split(' ');
    const status = await promisify(execFile)(program, args).catch((error: { stdout?: string }) => error);
    assert.match(status.stdout ?? '', /productpage/);
    demo.process.kill('SIGINT');
    assert.equal(await demo.exited, 0, demo.output());
    assertNothingRemains(demo);
  });

  it('removes everything when it is stopped in the middle', { timeout: 600_000 }, async (t) => {
    const demo = startDemo(t);
    await applicationsRun(demo);
    const folder = runFolder(demo);
    assert.ok(folder !== undefined);
    assert.ok(remainsOf(folder).length > 10, 'what the check looks for is there while the demo runs');
    demo.process.kill('SIGTERM');
    assert.equal(await demo.exited, 130, demo.output());
    assertNothingRemains(demo);
  });

  it('removes everything when it was killed', { timeout: 600_000 }, async (t) => {
    const demo = startDemo(t, '--loopback');
    await applicationsRun(demo);
    const folder = runFolder(demo);
    assert.ok(folder !== undefined);
    const { pid } = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')) as { readonly pid: number };
    process.kill(pid, 'SIGKILL');
    assert.equal(await demo.exited, 137, demo.output());
    assertNothingRemains(demo);
  });

  it('says what it can do, and refuses what it does not know', async (t) => {
    const help = startDemo(t, '--help');
    assert.equal(await help.exited, 0);
    assert.match(help.output(), /--loopback/);
    const wrong = startDemo(t, '--chekc');
    assert.equal(await wrong.exited, 2);
    assert.match(wrong.output(), /--chekc/);
  });
});
