/** Route tables and requests at random, from few words, so that they often meet. */
import * as fc from 'fast-check';

const paths = ['/', '/api', '/api/v1', '/api/v1/items', '/API', '/items/7', '/items/x', '/apix'] as const;
const regexes = [
  '/api/.*',
  '/items/\\d+',
  '(?i)/API(/.*)?',
  '/[[:alpha:]]+',
  '.*',
  '\\Q/api\\E/?.*',
  '/(?:api|items)(?:/[^/]+){1,2}',
  '/items/\\pL',
] as const;
const words = ['jason', 'jas', 'jason2', '', 'a,b'] as const;
const headerNames = ['end-user', 'x-test'] as const;
const queryNames = ['x', 'y'] as const;

const wordMatch = fc.oneof(
  fc.constantFrom(...words.slice(0, 3)).map((exact) => ({ exact })),
  fc.constantFrom('ja', 'jason', 'a').map((prefix) => ({ prefix })),
  fc.constantFrom('jas.*', '[a-z]+', '(?i)JASON', '.*2', '\\w*').map((regex) => ({ regex })),
);
const uriMatch = fc.oneof(
  fc.constantFrom(...paths).map((exact) => ({ exact })),
  fc.constantFrom(...paths).map((prefix) => ({ prefix })),
  fc.constantFrom(...regexes).map((regex) => ({ regex })),
);
const byName = <T>(names: readonly string[], match: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc.dictionary(fc.constantFrom(...names), match, { minKeys: 1, maxKeys: 2 });

const conditions = fc.record({
  uri: uriMatch,
  ignoreUriCase: fc.boolean(),
  method: fc.constantFrom('GET', 'POST').map((exact) => ({ exact })),
  authority: fc.constantFrom({ exact: 'shop.example' }, { prefix: 'shop' }, { regex: '.*\\.example' }),
  headers: byName(headerNames, fc.oneof(wordMatch, fc.constant({}))),
  withoutHeaders: byName(headerNames, fc.oneof(wordMatch, fc.constant({}))),
  queryParams: byName(queryNames, wordMatch),
  port: fc.constantFrom(9080, 9080, 9081),
  sourceNamespace: fc.constantFrom('default', 'default', 'other'),
});

type Conditions = typeof conditions extends fc.Arbitrary<infer T> ? T : never;

/** At most three conditions, so that some request meets them; that on the path most often. */
const match = fc
  .tuple(
    conditions,
    fc.subarray<keyof Conditions>(
      ['uri', 'method', 'authority', 'headers', 'withoutHeaders', 'queryParams', 'port', 'sourceNamespace'],
      { minLength: 1, maxLength: 3 },
    ),
    fc.boolean(),
  )
  .map(([all, chosen, byPath]) =>
    Object.fromEntries(
      Object.entries(all).filter(([key]) =>
        key === 'ignoreUriCase' || key === 'uri'
          ? byPath || chosen.includes('uri')
          : chosen.includes(key as keyof Conditions),
      ),
    ),
  );

/** `v9` is no subset of the DestinationRule. */
const subset = fc.constantFrom('v1', 'v2', 'v3', 'v9');
const destination = subset.map((name) => ({ destination: { host: 'SERVICE', subset: name } }));
const forwarded = fc.record({
  route: fc.oneof(
    fc.tuple(destination),
    fc
      .array(fc.tuple(destination, fc.constantFrom(0, 50, 100)), { minLength: 2, maxLength: 3 })
      .filter((list) => list.some(([, weight]) => weight > 0))
      .map((list) => list.map(([one, weight]) => ({ ...one, weight }))),
  ),
  rewrite: fc.option(
    fc.oneof(
      fc.constantFrom('/', '/new', '/new/').map((uri) => ({ uri })),
      fc.constant({ uriRegexRewrite: { match: '/(\\w+)/(.*)', rewrite: '/\\2/\\1' } }),
      fc.constant({ authority: 'inner.example' }),
    ),
    { nil: undefined, freq: 2 },
  ),
  fault: fc.option(fc.constant({ abort: { percentage: { value: 100 }, httpStatus: 418 } }), {
    nil: undefined,
    freq: 6,
  }),
});
const redirected = fc.record({
  redirect: fc.record(
    {
      uri: fc.constantFrom('/moved', '/'),
      authority: fc.constantFrom('other.example', 'other.example:8080'),
      scheme: fc.constant('https'),
      redirectCode: fc.constantFrom(302, 307, 308),
      port: fc.constantFrom(80, 8443),
    },
    { requiredKeys: ['uri'] },
  ),
});
const answered = fc.record({
  directResponse: fc.constantFrom({ status: 503, body: { string: 'later' } }, { status: 200 }),
});

/** A route with as many matches as it happens to have; `undefined` fields are left out by whoever writes it down. */
export const route = fc.record({
  match: fc.option(fc.array(match, { minLength: 1, maxLength: 3 }), { nil: undefined, freq: 8 }),
  action: fc.oneof(
    { weight: 5, arbitrary: forwarded },
    { weight: 1, arbitrary: redirected },
    { weight: 1, arbitrary: answered },
  ),
});

export const routeTable = fc.array(route, { minLength: 1, maxLength: 6 });

const query = fc
  .array(
    fc.oneof(
      fc.tuple(fc.constantFrom(...queryNames), fc.constantFrom('jason', 'jas', '', '2')).map((pair) => pair.join('=')),
      fc.constantFrom('x', 'z=1', ''),
    ),
    { maxLength: 3 },
  )
  .map((pairs) => (pairs.length === 0 ? '' : `?${pairs.join('&')}`));

export const randomRequest = fc.record({
  path: fc
    .tuple(
      fc.oneof(
        fc.constantFrom(...paths),
        fc.constantFrom(
          '/api/../items/7',
          '/api/./v1',
          '/%61pi',
          '/api%2Fv1',
          '/api//v1',
          '/Api/V1',
          '/items/é',
          '/api\\v1',
        ),
      ),
      query,
    )
    .map(([path, suffix]) => encodeURI(path).replaceAll('%25', '%') + suffix),
  method: fc.constantFrom('GET', 'GET', 'POST', 'DELETE'),
  authority: fc.option(fc.constantFrom('shop.example', 'shop.example:80', 'shop'), { nil: undefined }),
  headers: fc.dictionary(fc.constantFrom(...headerNames), fc.constantFrom(...words), { maxKeys: 2 }),
});

export type RandomRequest = typeof randomRequest extends fc.Arbitrary<infer T> ? T : never;
