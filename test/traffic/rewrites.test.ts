/** Rewrites, redirects and direct responses on a real Envoy: what arrives, and what callers read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PLAIN, routes, startBookshop, to } from './bookshop.ts';

const uri = (match: object): readonly object[] => [{ uri: match }];

test('what a service gets after a rewrite', async (t) => {
  const shop = await startBookshop(t, {
    versions: { v1: PLAIN },
    rules: [
      routes(
        { match: uri({ prefix: '/old' }), rewrite: { uri: '/new', authority: 'new.host' }, route: [to('v1')] },
        { match: uri({ exact: '/whole' }), rewrite: { uri: '/other/path' }, route: [to('v1')] },
        { match: uri({ regex: '/any/.*' }), rewrite: { uri: '/fixed' }, route: [to('v1')] },
        {
          match: uri({ prefix: '/rx' }),
          rewrite: { uriRegexRewrite: { match: '^/rx/([^/]+)/(.*)$', rewrite: '/\\2/\\1' } },
          route: [to('v1')],
        },
        { route: [to('v1')] },
      ),
    ],
  });
  const arriving = async (path: string): Promise<readonly [string, string | undefined]> => {
    await shop.call({ path, headers: { host: 'asked' } });
    const last = shop.arrived['v1']?.at(-1);
    return [last?.url ?? '', last?.headers.host];
  };
  assert.deepEqual(await arriving('/old/a?q=1'), ['/new/a?q=1', 'new.host']);
  assert.deepEqual(await arriving('/older'), ['/newer', 'new.host'], 'a prefix is one of text, not of segments');
  assert.deepEqual(await arriving('/whole?q=1'), ['/other/path?q=1', 'asked']);
  assert.deepEqual(await arriving('/any/thing?q=1'), ['/fixed?q=1', 'asked']);
  assert.deepEqual(await arriving('/rx/a/b/c?q=1'), ['/b/c/a?q=1', 'asked']);
  assert.deepEqual(await arriving('/untouched'), ['/untouched', 'asked']);
});

test('where redirects lead', async (t) => {
  const shop = await startBookshop(t, {
    versions: { v1: PLAIN },
    rules: [
      routes(
        {
          match: uri({ exact: '/all' }),
          redirect: { uri: '/target', authority: 'other.host', scheme: 'https', port: 8443, redirectCode: 302 },
        },
        { match: uri({ prefix: '/from' }), redirect: { prefixRewrite: '/into', redirectCode: 308 } },
        { match: uri({ exact: '/secure' }), redirect: { scheme: 'https', port: 443 } },
        { match: uri({ exact: '/port' }), redirect: { uri: '/p', derivePort: 'FROM_REQUEST_PORT' } },
        { match: uri({ exact: '/noport' }), redirect: { uri: '/p', derivePort: 'FROM_PROTOCOL_DEFAULT' } },
        { route: [to('v1')] },
      ),
    ],
  });
  const led = async (path: string): Promise<readonly [number, string | undefined]> => {
    const { status, headers } = await shop.call({ path, headers: { host: 'asked' } });
    return [status, headers.location];
  };
  assert.deepEqual(await led('/all'), [302, 'https://other.host:8443/target']);
  assert.deepEqual(await led('/from/a?q=1'), [308, 'http://asked/into/a?q=1']);
  assert.deepEqual(await led('/secure'), [301, 'https://asked/secure']);
  assert.deepEqual(await led('/port'), [301, 'http://asked:9080/p']);
  assert.deepEqual(await led('/noport'), [301, 'http://asked/p']);
  assert.deepEqual(shop.arrived['v1'], []);
});

test('answers without a service, up to the largest', async (t) => {
  const large = 'x'.repeat(1024 * 1024);
  const shop = await startBookshop(t, {
    versions: { v1: PLAIN },
    rules: [
      routes(
        {
          match: uri({ exact: '/text' }),
          directResponse: { status: 418, body: { string: 'teapot' } },
          headers: { response: { set: { 'content-type': 'text/x-tea' } } },
        },
        { match: uri({ exact: '/bytes' }), directResponse: { status: 200, body: { bytes: 'AP8=' } } },
        { match: uri({ exact: '/none' }), directResponse: { status: 204 } },
        { match: uri({ exact: '/large' }), directResponse: { status: 200, body: { string: large } } },
        { route: [to('v1')] },
      ),
    ],
  });
  const { status, headers, body } = await shop.call({ path: '/text' });
  assert.deepEqual([status, headers['content-type'], body], [418, 'text/x-tea', 'teapot']);
  assert.equal((await shop.call({ path: '/bytes' })).headers['content-length'], '2');
  assert.equal((await shop.call({ path: '/none' })).status, 204);
  assert.equal((await shop.call({ path: '/large' })).body.length, large.length);
  assert.deepEqual(shop.arrived['v1'], []);
});
