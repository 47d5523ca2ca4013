/** Routes of VirtualServices with values that people write by mistake or on purpose, most of them refused. */
import * as fc from 'fast-check';

const TEXTS = [
  '',
  '/',
  '/a',
  'a',
  'a b',
  '/ä',
  '%',
  '%%',
  '%REQ(x)%',
  '%NO%',
  '%2f',
  'http://x',
  '*',
  '.*',
  '(',
  '\\',
  '\\1',
  '\\0',
  '\t',
  '\n',
  '\u0000',
  'x'.repeat(300),
  '"',
  '{}',
  'a:1',
  'x:y:z',
  '[::1]:80',
  '?q=1',
  '#f',
  '😀',
  'a\r\nb',
  ',',
  '/a/../b',
  '//',
  'GET',
  'get',
];
const HEADERS = [
  'x',
  'X-A',
  'host',
  ':authority',
  ':path',
  ':method',
  ':scheme',
  ':status',
  'a b',
  '',
  'content-length',
  '@x',
  'transfer-encoding',
  'x-envoy-foo',
  'connection',
  'ä',
  'cookie',
  'x'.repeat(200),
  'a:b',
  'te',
];
const REGEXES = [
  '.*',
  '^/a$',
  '(a)(b)',
  '[[:alpha:]]+',
  'a{1000}',
  '\\d+',
  '',
  '(?i)a',
  '\\pL',
  '(?:x)',
  '[]a]',
  'a|b',
  '()',
  '(?P<n>x)y',
  'a(?=b)',
  '[',
  '\\8',
];

const text = fc.constantFrom(...TEXTS);
const regex = fc.constantFrom(...REGEXES);
const header = fc.constantFrom(...HEADERS);
const duration = fc.constantFrom('1ms', '1s', '0.001s', '1h', '876000h', '0s');
const percentage = fc.record({ value: fc.constantFrom(0, 100, 0.00001, 50.55555, 99.99999, 101) });

/** A few of the fields: with many, hardly a route would be without a fault. */
export function some(
  fields: Readonly<Record<string, fc.Arbitrary<unknown>>>,
): fc.Arbitrary<Readonly<Record<string, unknown>>> {
  const maybe = Object.entries(fields).map(([name, value]) =>
    fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: value.map((given) => [[name, given] as const]) },
    ),
  );
  return fc.tuple(...maybe).map((found) => Object.fromEntries(found.flat()));
}

const stringMatch = fc.oneof(
  text.map((exact) => ({ exact })),
  text.map((prefix) => ({ prefix })),
  regex.map((value) => ({ regex: value })),
  fc.constant({}),
);

function byHeader<T>(value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> {
  return fc.dictionary(header, value, { maxKeys: 2 });
}

const changes = some({ set: byHeader(text), add: byHeader(text), remove: fc.array(header, { maxLength: 2 }) });
const headers = some({ request: changes, response: changes });
const destination = fc
  .tuple(
    fc.constantFrom('reviews', 'gone.default.mesh', '*.mesh'),
    some({ subset: fc.constantFrom('v1', 'a b', '|'), port: fc.constant({ number: 9080 }) }),
  )
  .map(([host, rest]) => ({ host, ...rest }));

const match = some({
  name: text,
  uri: stringMatch,
  ignoreUriCase: fc.boolean(),
  method: stringMatch,
  scheme: stringMatch,
  authority: stringMatch,
  headers: byHeader(stringMatch),
  withoutHeaders: byHeader(stringMatch),
  queryParams: byHeader(stringMatch),
  statPrefix: text,
});

const common = {
  name: text,
  match: fc.array(match, { maxLength: 2 }),
  headers,
  corsPolicy: some({
    allowOrigins: fc.array(stringMatch, { maxLength: 2 }),
    allowHeaders: fc.array(header, { maxLength: 2 }),
    exposeHeaders: fc.array(header, { maxLength: 2 }),
    maxAge: duration,
    allowCredentials: fc.boolean(),
    unmatchedPreflights: fc.constantFrom('FORWARD', 'IGNORE'),
  }),
};

const redirect = some({
  uri: text,
  prefixRewrite: text,
  authority: text,
  scheme: fc.constantFrom('http', 'https', ''),
  port: fc.constantFrom(80, 443, 65_535),
  derivePort: fc.constant('FROM_REQUEST_PORT'),
  redirectCode: fc.constantFrom(301, 303, 308, 0),
});

const directResponse = fc.record({
  status: fc.constantFrom(200, 204, 304, 599),
  body: fc.oneof(
    text.map((string) => ({ string })),
    fc.constant({ bytes: 'AAAA' }),
  ),
});

const weighted = fc
  .tuple(destination, some({ weight: fc.constantFrom(0, 1, 100, 2_147_483_647), headers }))
  .map(([to, rest]) => ({ destination: to, ...rest }));

const onward = {
  rewrite: some({ uri: text, authority: text, uriRegexRewrite: fc.record({ match: regex, rewrite: text }) }),
  timeout: duration,
  retries: some({
    attempts: fc.constantFrom(0, 1, 2_147_483_647),
    perTryTimeout: duration,
    retryOn: fc.constantFrom('5xx', '503', 'reset,100,599', ''),
    retryRemoteLocalities: fc.boolean(),
    backoff: duration,
  }),
  fault: some({
    delay: some({ fixedDelay: duration, percentage }),
    abort: some({ httpStatus: fc.constantFrom(200, 599), grpcStatus: fc.constant('ABORTED'), percentage }),
  }),
  mirrors: fc.array(
    fc.tuple(destination, some({ percentage })).map(([to, rest]) => ({ destination: to, ...rest })),
    { maxLength: 2 },
  ),
};

/** One entry of `http`. */
export const oddRoute: fc.Arbitrary<object> = fc.oneof(
  fc.tuple(some(common), redirect).map(([rest, to]) => ({ ...rest, redirect: to })),
  fc.tuple(some(common), directResponse).map(([rest, answer]) => ({ ...rest, directResponse: answer })),
  fc
    .tuple(some({ ...common, ...onward }), fc.array(weighted, { minLength: 1, maxLength: 3 }))
    .map(([rest, route]) => ({ ...rest, route })),
);
