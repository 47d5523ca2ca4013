/** VirtualServices at random: http, TLS and TCP routes, delegates, gateways. Valid but for a few. */
import * as fc from 'fast-check';
import { oddRoute, some } from '../traffic/odd-routes.ts';
import { aDuration, aHost, aNamespace, aPort, aSelector, aWrittenHost, exportTo, SUBSETS } from './words.ts';

/** As resources name each other: `any-resources.ts` calls them so. */
const GATEWAYS = ['mesh', 'mesh', 'gateway-0', 'shop/gateway-1', 'default/gateway-0', './gateway-2'] as const;

const destination = fc
  .tuple(aWrittenHost, some({ subset: fc.constantFrom(...SUBSETS), port: aPort.map((number) => ({ number })) }))
  .map(([host, rest]) => ({ host, ...rest }));
const weighted = fc.tuple(destination, some({ ...headers() })).map(([to, rest]) => ({ destination: to, ...rest }));
const route = fc
  .tuple(weighted, fc.array(fc.tuple(weighted, fc.constantFrom(0, 1, 100)), { maxLength: 2 }))
  .map(([first, more]) => [
    { ...first, ...(more.length > 0 && { weight: 50 }) },
    ...more.map(([one, weight]) => ({ ...one, weight })),
  ]);
const plainRoute = fc.array(
  fc.tuple(destination, fc.constantFrom(1, 50)).map(([to, weight]) => ({ destination: to, weight })),
  { minLength: 1, maxLength: 2 },
);

function headers(): { readonly headers: fc.Arbitrary<object> } {
  const values = fc.constant({ 'x-a': 'b' });
  return {
    headers: some({ request: some({ set: values, remove: fc.constant(['x-b']) }), response: some({ add: values }) }),
  };
}

const text = fc.oneof(
  fc.constantFrom('/', '/api', 'x').map((exact) => ({ exact })),
  fc.constantFrom('/', '/api/', 'x').map((prefix) => ({ prefix })),
  fc.constantFrom('/a.*', '[a-z]+').map((regex) => ({ regex })),
);
const source = {
  port: aPort,
  sourceLabels: aSelector,
  sourceNamespace: aNamespace,
  gateways: fc.uniqueArray(fc.constantFrom(...GATEWAYS), { minLength: 1, maxLength: 2 }),
};
const match = some({
  name: fc.constantFrom('one', 'two'),
  uri: text,
  method: fc.constant({ exact: 'GET' }),
  authority: text,
  headers: fc.dictionary(fc.constantFrom('x-a', ':authority', 'cookie'), text, { maxKeys: 2 }),
  queryParams: fc.dictionary(fc.constantFrom('q'), text, { maxKeys: 1 }),
  ignoreUriCase: fc.boolean(),
  ...source,
});

const around = {
  name: fc.constantFrom('r1', 'r2'),
  match: fc.array(match, { maxLength: 2 }),
  timeout: aDuration,
  retries: fc.constantFrom({ attempts: 0 }, { attempts: 3, perTryTimeout: '1s', retryOn: '5xx,503' }),
  fault: fc.constantFrom({ abort: { httpStatus: 503, percentage: { value: 10 } } }, { delay: { fixedDelay: '1s' } }),
  mirror: destination,
  rewrite: fc.constantFrom(
    { uri: '/new' },
    { authority: 'other' },
    { uriRegexRewrite: { match: '^/a', rewrite: '/b' } },
  ),
  corsPolicy: fc.constant({ allowOrigins: [{ exact: '*' }], maxAge: '1h' }),
  ...headers(),
};
const answered = some({ name: around.name, match: around.match });

const httpRoute: fc.Arbitrary<object> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(some(around), route).map(([rest, to]) => ({ ...rest, route: to })) },
  { weight: 1, arbitrary: answered.map((rest) => ({ ...rest, redirect: { uri: '/gone', redirectCode: 302 } })) },
  {
    weight: 1,
    arbitrary: answered.map((rest) => ({ ...rest, directResponse: { status: 200, body: { string: 'x' } } })),
  },
  { weight: 1, arbitrary: oddRoute },
);
const delegating = fc
  .tuple(answered, fc.nat(5), some({ namespace: aNamespace }))
  .map(([rest, i, where]) => ({ ...rest, delegate: { name: `virtualservice-${i}`, ...where } }));

const range = fc.constantFrom(['10.0.0.0/8'], ['10.9.0.1', 'fd00::/8'], ['0.0.0.0/0']);
const connection = some({ destinationSubnets: range, ...source });

/** Server names have to be of the hosts. */
function tlsRoutes(hosts: readonly string[]): fc.Arbitrary<readonly object[]> {
  const sniHosts = fc.uniqueArray(fc.constantFrom(...hosts), { minLength: 1, maxLength: 2 });
  const one = fc.tuple(sniHosts, connection).map(([names, rest]) => ({ sniHosts: names, ...rest }));
  return fc.array(fc.record({ match: fc.array(one, { minLength: 1, maxLength: 2 }), route: plainRoute }), {
    minLength: 1,
    maxLength: 2,
  });
}

const tcpRoutes = fc.array(
  fc
    .tuple(some({ match: fc.array(connection, { minLength: 1, maxLength: 2 }) }), plainRoute)
    .map(([rest, to]) => ({ ...rest, route: to })),
  { minLength: 1, maxLength: 2 },
);

function routed(hosts: readonly string[]): fc.Arbitrary<object> {
  const http = fc.array(fc.oneof({ weight: 5, arbitrary: httpRoute }, { weight: 1, arbitrary: delegating }), {
    minLength: 1,
    maxLength: 3,
  });
  const gateways = fc.uniqueArray(fc.constantFrom(...GATEWAYS), { minLength: 1, maxLength: 2 });
  return fc
    .tuple(
      some({ gateways, exportTo }),
      fc.oneof(
        { weight: 3, arbitrary: fc.record({ http }) },
        { weight: 1, arbitrary: fc.record({ tls: tlsRoutes(hosts) }) },
        { weight: 1, arbitrary: fc.record({ tcp: tcpRoutes }) },
        { weight: 1, arbitrary: fc.record({ http, tls: tlsRoutes(hosts), tcp: tcpRoutes }) },
      ),
    )
    .map(([rest, routes]) => ({ hosts, ...rest, ...routes }));
}

/** `spec` of a VirtualService. */
export const virtualService: fc.Arbitrary<object> = fc.oneof(
  { weight: 6, arbitrary: fc.uniqueArray(aHost, { minLength: 1, maxLength: 2 }).chain(routed) },
  {
    weight: 1,
    arbitrary: fc.record({ http: fc.array(httpRoute, { minLength: 1, maxLength: 2 }) }),
  },
);
