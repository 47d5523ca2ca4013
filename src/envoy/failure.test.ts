import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { describeExit, exitFailure, spawnFailure } from './failure.ts';

const at = (text: string): string => `2026-11-22T09:14:00.948+00:00 critical main ${text}`;

test('exitFailure() names the listener that cannot bind, and who holds the port', async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const failure = exitFailure('/envoy', { code: 1 }, [
    at(
      String.raw`error initializing config '/b.json': cannot bind '127.0.0.1:${port}': Address already in use`,
    ).replace('${port}', String(port)),
  ]);
  assert.equal(failure.code, 'ENVOY_PORT_IN_USE');
  assert.match(failure.message, new RegExp(`127\\.0\\.0\\.1:${port}: Address already in use, by .*pid ${process.pid}`));
});

test('exitFailure() tells a port in use from an address that is not ours', () => {
  const failure = exitFailure('/envoy', { code: 1 }, [
    at("cannot bind '[fd00::9]:9080': Cannot assign requested address"),
  ]);
  assert.equal(failure.code, 'ENVOY_ADDRESS_REFUSED');
  assert.match(failure.message, /fd00::9:9080/);
  assert.match(failure.remedy, /address of this host/);
});

test('exitFailure() quotes what Envoy has against its bootstrap', () => {
  const failure = exitFailure('/envoy', { code: 1 }, [
    at("error initializing configuration '/run/b.json': no such field: 'x'"),
  ]);
  assert.equal(failure.code, 'ENVOY_BOOTSTRAP_REFUSED');
  assert.match(failure.message, /no such field: 'x'/);
});

test('exitFailure() of anything else names the exit and the last words, and keeps few lines', () => {
  const lines = Array.from({ length: 100 }, (_, i) => at(`line ${i}`));
  const failure = exitFailure('/envoy', { signal: 'SIGSEGV' }, lines);
  assert.equal(failure.code, 'ENVOY_EXITED');
  assert.match(failure.message, /\/envoy.*was ended by SIGSEGV.*line 99/);
  assert.equal(failure.lastLines.length, 20);
  assert.match(exitFailure('/envoy', {}, []).message, /is gone$/);
  assert.equal(describeExit({ code: 3 }), 'exited with status 3');
});

test('spawnFailure() tells a missing program from a missing folder', () => {
  const missing = (path: string): Error => Object.assign(new Error('no such file'), { code: 'ENOENT', path });
  assert.equal(spawnFailure('/envoy', missing('/envoy')).code, 'ENVOY_BINARY_MISSING');
  assert.equal(spawnFailure('/envoy', missing('/run/trysail/envoy.log')).code, 'ENVOY_FILE_REFUSED');
  const loader = Object.assign(missing('/envoy'), { syscall: 'spawn /envoy' });
  assert.match(spawnFailure('/envoy', loader).message, /loader is missing/);
});
