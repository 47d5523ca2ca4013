/** Header operations and CORS on a real Envoy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PLAIN, routes, startBookshop, to } from './bookshop.ts';

const uri = (prefix: string): readonly object[] => [{ uri: { prefix } }];

test('headers of a route come first, those of its destination after them', async (t) => {
  const answers = () => ({ headers: { 'x-inner': 'secret', 'x-kept': 'app' } });
  const shop = await startBookshop(t, {
    versions: { v1: answers },
    rules: [
      routes(
        {
          match: uri('/one'),
          headers: {
            request: { set: { 'x-set': 'route', 'x-both': 'route' }, add: { 'x-add': 'route' }, remove: ['x-gone'] },
            response: { set: { 'x-answer': 'route' }, remove: ['x-inner'] },
          },
          route: [
            to('v1', {
              headers: {
                request: { set: { 'x-both': 'destination' }, add: { 'x-add': 'destination' }, remove: ['x-removed'] },
                response: { set: { 'x-answer': 'destination' }, add: { 'x-kept': 'added' } },
              },
            }),
          ],
        },
        {
          match: uri('/several'),
          headers: { request: { set: { 'x-both': 'route' } } },
          route: [1, 2].map((weight) =>
            to('v1', { weight, headers: { request: { set: { 'x-both': 'destination', host: 'of.destination' } } } }),
          ),
        },
        {
          match: uri('/host'),
          headers: { request: { set: { ':authority': 'of.route' } } },
          route: [to('v1', { headers: { request: { set: { Host: 'of.destination' } } } })],
        },
        {
          match: uri('/command'),
          headers: { request: { set: { 'x-was': 'was %REQ(x-in)% at 100%%' } } },
          route: [to('v1')],
        },
      ),
    ],
  });
  const last = () => shop.arrived['v1']?.at(-1)?.headers ?? {};
  const headers = { 'x-set': 'in', 'x-add': 'in', 'x-gone': 'in', 'x-removed': 'in', 'x-in': 'in' };
  const answer = await shop.call({ path: '/one', headers });
  assert.equal(last()['x-set'], 'route');
  assert.equal(last()['x-both'], 'destination');
  assert.deepEqual(last()['x-add'], 'in, route, destination');
  assert.equal(last()['x-gone'], undefined);
  assert.equal(last()['x-removed'], undefined);
  assert.equal(answer.headers['x-inner'], undefined);
  assert.equal(answer.headers['x-answer'], 'destination');
  assert.equal(answer.headers['x-kept'], 'app, added');

  await shop.call({ path: '/several' });
  assert.deepEqual([last()['x-both'], last().host], ['destination', 'of.destination']);
  await shop.call({ path: '/host' });
  assert.equal(last().host, 'of.route');
  await shop.call({ path: '/command', headers });
  assert.equal(last()['x-was'], 'was in at 100%');
});

test('preflights are answered for allowed origins; others go on, or not', async (t) => {
  const cors = {
    allowOrigins: [{ exact: 'https://shop.example' }, { regex: 'https://[a-z]+[.]shop[.]example' }],
    allowMethods: ['GET', 'PUT'],
    allowHeaders: ['x-token'],
    exposeHeaders: ['x-app'],
    maxAge: '24h',
    allowCredentials: true,
  };
  const shop = await startBookshop(t, {
    versions: { v1: PLAIN },
    rules: [
      routes(
        { match: uri('/ignore'), corsPolicy: { ...cors, unmatchedPreflights: 'IGNORE' }, route: [to('v1')] },
        { corsPolicy: cors, route: [to('v1')] },
      ),
    ],
  });
  const preflight = (origin: string, path = '/') =>
    shop.call({ method: 'OPTIONS', path, headers: { origin, 'access-control-request-method': 'PUT' } });
  const allowed = await preflight('https://www.shop.example');
  assert.equal(allowed.status, 200);
  assert.deepEqual(shop.arrived['v1'], [], 'Envoy answered it');
  assert.equal(allowed.headers['access-control-allow-origin'], 'https://www.shop.example');
  assert.equal(allowed.headers['access-control-allow-methods'], 'GET,PUT');
  assert.equal(allowed.headers['access-control-allow-headers'], 'x-token');
  assert.equal(allowed.headers['access-control-max-age'], '86400');
  assert.equal(allowed.headers['access-control-allow-credentials'], 'true');

  const request = await shop.call({ headers: { origin: 'https://shop.example' } });
  assert.equal(request.headers['access-control-allow-origin'], 'https://shop.example');
  assert.equal(request.headers['access-control-expose-headers'], 'x-app');
  const foreign = await shop.call({ headers: { origin: 'https://evil.example' } });
  assert.equal(foreign.headers['access-control-allow-origin'], undefined);

  const before = shop.arrived['v1']?.length ?? 0;
  const forwarded = await preflight('https://evil.example');
  assert.equal(forwarded.headers['access-control-allow-origin'], undefined);
  assert.equal(shop.arrived['v1']?.length, before + 1, 'it went on');
  const ignored = await preflight('https://evil.example', '/ignore');
  assert.equal(ignored.headers['access-control-allow-origin'], undefined);
  assert.equal(shop.arrived['v1']?.length, before + 1, 'it went no further');
});
