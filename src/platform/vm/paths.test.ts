import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_SOCKET_PATH_BYTES, PATHS, sockets } from './paths.ts';

test('the default sockets are in the run folder and short enough for the kernel', () => {
  for (const path of Object.values(sockets(PATHS.run))) {
    assert.ok(path.startsWith('/run/trysail/'));
    assert.ok(Buffer.byteLength(path) < MAX_SOCKET_PATH_BYTES);
  }
});
