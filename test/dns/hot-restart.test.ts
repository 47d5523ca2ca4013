/** Names while Envoy is replaced by another: every look-up is answered, as a resolver makes it. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { dnsListener } from '../../src/translate/dns/dns-listener.ts';
import { TYPE_URL } from '../../src/xds/resource.ts';
import { type Child, startChild } from '../support/child.ts';
import { eventually, PATIENCE_MS } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { staticBootstrap } from '../translate/static-bootstrap.ts';
import { dnsClient } from './dns-client.ts';

const ASKING = 4;
const TRIES = 3;
const TRY_MS = 5000;

test('a hot restart of Envoy loses no look-up', async (t) => {
  const [dir, port] = await Promise.all([tempDir(t), freePort()]);
  const listen = { address: '127.0.0.1', port };
  const listeners = [dnsListener({ listen }, new Map([['reviews.mesh', ['127.240.0.1']]]))];
  const resources = new Map([[TYPE_URL.listener, new Map(listeners.map((item) => [item.name, item]))]]);
  const path = join(dir, 'bootstrap.json');
  await writeFile(path, JSON.stringify(await staticBootstrap(resources, { nodeId: 'dns', secrets: [] })));
  const start = (epoch: number): Child =>
    startChild(
      t,
      envoyBinary(),
      `-c ${path} --restart-epoch ${epoch} --base-id ${100_000 + process.pid} --drain-time-s 1 --parent-shutdown-time-s 2 --concurrency 1 -l warning`.split(
        ' ',
      ),
    );
  const first = start(0);
  const client = dnsClient(t, port);
  await eventually('the first answers', () => client.ask('reviews.mesh', 'A', 200));
  const stopping = new AbortController();
  const failed: string[] = [];
  let asked = 0;
  /** Those that were asked again, whether they are answered in the end. */
  const unanswered: Promise<boolean>[] = [];
  // What lies in the old Envoy's hands in the moment of its end stays unanswered (some microseconds); resolvers ask again.
  const lookUp = async (): Promise<string> => {
    for (let tries = 1; ; tries++) {
      const answer = client.ask('reviews.mesh', 'A', PATIENCE_MS / 4).then(({ code }) => code, String);
      const code = await Promise.race([answer, delay(TRY_MS, 'late', { ref: false })]);
      if (code === 'NOERROR' || tries === TRIES) return code;
      unanswered.push(answer.then((last) => last !== 'NOERROR'));
    }
  };
  const asking = Promise.all(
    Array.from({ length: ASKING }, async () => {
      while (!stopping.signal.aborted) {
        asked++;
        const code = await lookUp();
        if (code !== 'NOERROR') failed.push(code);
      }
    }),
  );
  const second = start(1);
  await eventually('the first has ended', () => first.process.exitCode !== null);
  assert.equal(second.process.exitCode, null, second.output());
  const before = asked;
  await eventually('the second answers', () => asked > before + 100);
  stopping.abort();
  await asking;
  assert.deepEqual(failed, []);
  // One moment of the whole restart, not a pause of it. What is late on a slow machine was not lost.
  const lost = (await Promise.all(unanswered)).filter(Boolean).length;
  assert.ok(lost <= ASKING, `${lost} of ${asked} were lost`);
});
