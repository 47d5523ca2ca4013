import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionParts } from './connection-parts.ts';
import type { ConnectionRoute } from './tcp-routes.ts';

function route(name: string, ...destinationSubnets: readonly string[]): ConnectionRoute {
  return { serverNames: [name], destinationSubnets, destinations: [] };
}

function parts(addresses: readonly string[], routes: readonly ConnectionRoute[]): readonly string[] {
  return connectionParts(addresses, routes).map(
    (part) => `${part.addresses.join(' ')}: ${part.routes.map(({ serverNames }) => serverNames.join(' ')).join(', ')}`,
  );
}

test('routes without ranges hold for all addresses at once', () => {
  assert.deepEqual(parts(['10.0.0.1', 'fd00::1'], [route('a'), route('b')]), ['10.0.0.1 fd00::1: a, b']);
  assert.deepEqual(parts([], []), [': ']);
});

test('a range has the routes of all ranges that hold it, the closest first', () => {
  const routes = [route('any'), route('wide', '10.0.0.0/8'), route('narrow', '10.1.0.0/16', 'fd00::/8')];
  assert.deepEqual(parts([], routes), [
    ': any',
    '10.0.0.0/8: wide, any',
    '10.1.0.0/16: narrow, wide, any',
    'fd00::/8: narrow, any',
  ]);
});

test('of the addresses of a service only those that a range holds are apart', () => {
  const routes = [route('in', '10.1.0.0/16'), route('out', '192.168.0.0/16'), route('any')];
  assert.deepEqual(parts(['10.1.2.3', '10.0.0.0/8', 'fd00::1'], routes), [
    '10.1.2.3: in, any',
    '10.0.0.0/8: any',
    '10.1.0.0/16: in, any',
    'fd00::1: any',
  ]);
});

test('one range in two spellings is one', () => {
  assert.deepEqual(parts([], [route('a', '10.1.2.3/8'), route('b', '10.0.0.0/8')]), [': ', '10.1.2.3/8: a, b']);
});
