import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

const HEAD = 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n';

function complaints(spec: string): readonly string[] {
  const { diagnostics } = parseResources([{ file: 'a.yaml', text: HEAD + spec }]);
  return diagnostics.map((diagnostic) =>
    formatDiagnostic(diagnostic)
      .replace('VirtualService default/a ', '')
      .replace(' (the resource is not applied)', '')
      .replace(/^a\.yaml:/, ''),
  );
}

const ROUTE = 'route: [{destination: {host: b}}]';

test('everything that is supported, in both spellings', () => {
  const { virtualServices, diagnostics } = parseResources([
    {
      file: 'a.yaml',
      text: `${HEAD}
  hosts: [reviews, '*.example.com']
  gateways: [mesh]
  export_to: ['.', payments]
  http:
  - name: canary
    match:
    - name: jason
      uri: {prefix: /api}
      ignoreUriCase: true
      method: {exact: GET}
      scheme: {exact: http}
      authority: {regex: '.*[.]com'}
      headers: {end-user: {exact: jason}, x-any: {}, x-star: {regex: '*'}}
      without_headers: {x-debug: {prefix: '1'}}
      queryParams: {v: {exact: '2'}}
      port: 9080
      gateways: [mesh]
    route:
    - destination: {host: reviews, subset: v2, port: {number: 9080}}
      weight: 3
    - destination: {host: reviews.other.mesh}
    timeout: 1.5s
    retries:
      attempts: 3
      per_try_timeout: 250ms
      retryOn: connect-failure, 503
      retryRemoteLocalities: true
      retryIgnorePreviousHosts: false
      backoff: 10ms
  - route: [{destination: {host: reviews}, weight: 0}]
    retries: {attempts: 0}
`,
    },
  ]);
  assert.deepEqual(diagnostics, []);
  const [virtualService] = virtualServices;
  assert.deepEqual(virtualService, {
    meta: {
      kind: 'VirtualService',
      namespace: 'default',
      name: 'a',
      labels: {},
      source: { file: 'a.yaml', line: 1 },
      age: 1,
    },
    hosts: ['reviews', '*.example.com'],
    gateways: ['mesh'],
    exportTo: ['.', 'payments'],
    http: [
      {
        name: 'canary',
        match: [
          {
            name: 'jason',
            uri: { kind: 'prefix', value: '/api' },
            ignoreUriCase: true,
            method: { kind: 'exact', value: 'GET' },
            scheme: { kind: 'exact', value: 'http' },
            authority: { kind: 'regex', value: '.*[.]com' },
            headers: {
              'end-user': { kind: 'exact', value: 'jason' },
              'x-any': { kind: 'present' },
              'x-star': { kind: 'present' },
            },
            withoutHeaders: { 'x-debug': { kind: 'prefix', value: '1' } },
            queryParams: { v: { kind: 'exact', value: '2' } },
            port: 9080,
            gateways: ['mesh'],
          },
        ],
        destinations: [
          { host: 'reviews', subset: 'v2', port: 9080, weight: 3 },
          { host: 'reviews.other.mesh', subset: undefined, port: undefined, weight: 0 },
        ],
        timeoutMs: 1500,
        retries: {
          attempts: 3,
          perTryTimeoutMs: 250,
          retryOn: 'connect-failure,503',
          retryRemoteLocalities: true,
          retryIgnorePreviousHosts: false,
          backoffMs: 10,
        },
        source: { file: 'a.yaml', line: 10 },
      },
      {
        name: undefined,
        match: [],
        destinations: [{ host: 'reviews', subset: undefined, port: undefined, weight: 1 }],
        timeoutMs: undefined,
        retries: {
          attempts: 0,
          perTryTimeoutMs: undefined,
          retryOn: undefined,
          retryRemoteLocalities: false,
          retryIgnorePreviousHosts: undefined,
          backoffMs: undefined,
        },
        source: { file: 'a.yaml', line: 35 },
      },
    ],
  });
});

const bad: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a misspelt key',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    tiemout: 1s\n`,
    ['8: error IST0106 spec.http[0].tiemout: unknown key "tiemout". Did you mean "timeout"?'],
  ],
  [
    'a timeout of 0',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    timeout: 0s\n`,
    ['8: error IST0106 spec.http[0].timeout: "0s" is less than 1ms. Leave the field out, or write 1ms or more.'],
  ],
  [
    'a timeout without a unit',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    timeout: 5\n`,
    ['8: error IST0106 spec.http[0].timeout: 5 is not a duration. Write a number and a unit, such as "1.5s".'],
  ],
  [
    'a fraction of a millisecond',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    timeout: 1.5ms\n`,
    ['8: error IST0106 spec.http[0].timeout: "1.5ms" is not a whole number of milliseconds. Round it.'],
  ],
  [
    'no attempts, yet other settings of retries',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    retries:\n      attempts: 0\n      perTryTimeout: 1s\n`,
    [
      '9: error IST0106 spec.http[0].retries.attempts: there are no attempts, and yet perTryTimeout. Write "attempts" of 1 or more, or "attempts: 0" alone to turn retries off.',
    ],
  ],
  [
    'an unknown condition of retries',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    retries: {attempts: 1, retryOn: "5xx,conect-failure,503"}\n`,
    [
      '8: error IST0106 spec.http[0].retries.retryOn: "conect-failure" is neither a condition nor an HTTP status. Did you mean "connect-failure"?',
    ],
  ],
  [
    'weights that total 0',
    '  hosts: [b]\n  http:\n  - route:\n    - destination: {host: b}\n    - destination: {host: c}\n      weight: 0\n',
    ['7: error IST0106 spec.http[0].route: the weights total 0. Give at least one destination a weight of 1 or more.'],
  ],
  [
    'a negative weight',
    '  hosts: [b]\n  http:\n  - route: [{destination: {host: b}, weight: -1}]\n',
    [
      '7: error IST0106 spec.http[0].route[0].weight: -1 is not a whole number from 0 to 2147483647. Write a whole number from 0 to 2147483647.',
    ],
  ],
  [
    'a regular expression that RE2 does not have',
    `  hosts: [b]\n  http:\n  - match:\n    - uri:\n        regex: "a(?=b)"\n    ${ROUTE}\n`,
    [
      '9: error IST0106 spec.http[0].match[0].uri.regex: "a(?=b)" is no regular expression of RE2: invalid or unsupported Perl syntax: "(?=". Write a regular expression in RE2 syntax, which has no look-around and no back-references.',
    ],
  ],
  [
    'two ways to compare',
    `  hosts: [b]\n  http:\n  - match: [{uri: {exact: /a, prefix: /b}}]\n    ${ROUTE}\n`,
    [
      '7: error IST0106 spec.http[0].match[0].uri: has more than one of exact, prefix and regex. Keep one, or write several entries of "match".',
    ],
  ],
  [
    'no way to compare',
    `  hosts: [b]\n  http:\n  - match: [{method: {}}]\n    ${ROUTE}\n`,
    ['7: error IST0106 spec.http[0].match[0].method: says nothing to compare with. Add "exact", "prefix" or "regex".'],
  ],
  [
    'a claim of a token',
    `  hosts: [b]\n  http:\n  - match: [{headers: {"@request.auth.claims.x": {exact: a}}}]\n    ${ROUTE}\n`,
    [
      '7: error TRY0003 spec.http[0].match[0].headers["@request.auth.claims.x"]: "@request.auth.claims.x" asks for a claim of a token, which is not supported yet. Remove it.',
    ],
  ],
  [
    'a header that no request can have',
    `  hosts: [b]\n  http:\n  - match: [{headers: {"a b": {exact: x}}, withoutHeaders: {":path": {}}}]\n    ${ROUTE}\n`,
    ['7: error IST0106 spec.http[0].match[0].headers["a b"]: "a b" is not a name. Use letters, digits and "-".'],
  ],
  [
    'a time longer than Envoy can count',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    timeout: 9999999999h\n`,
    ['8: error IST0106 spec.http[0].timeout: "9999999999h" is longer than a hundred years. Write a shorter time.'],
  ],
  [
    'weights that total more than Envoy can count',
    '  hosts: [b]\n  http:\n  - route:\n' + '    - {destination: {host: b}, weight: 2147483647}\n'.repeat(3),
    ['7: error IST0106 spec.http[0].route: the weights total more than 4294967295. Write smaller weights.'],
  ],
  [
    'a host that is no name',
    `  hosts: [http://b]\n  http:\n  - ${ROUTE}\n`,
    [
      '5: error IST0106 spec.hosts[0]: "http://b" has a port or a scheme. Write a DNS name such as reviews.default.mesh, or *.example.com.',
    ],
  ],
  [
    'all hosts of the mesh',
    `  hosts: ["*"]\n  http:\n  - ${ROUTE}\n`,
    [
      '5: error IST0106 spec.hosts[0]: "*" is not allowed within the mesh. Name the services, or bind it to gateways alone.',
    ],
  ],
  [
    'no routes',
    '  hosts: [b]\n',
    ['4: error IST0106 spec.http: has no routes. Add "http", "tls" or "tcp" with at least one route.'],
  ],
  [
    'a route to nowhere',
    '  hosts: [b]\n  http:\n  - timeout: 1s\n',
    [
      '7: error IST0106 spec.http[0]: has no "route". Add "route" with at least one destination, "redirect" or "directResponse".',
    ],
  ],
  [
    'hosts that overlap',
    `  hosts: ['*.example.com', a.example.com]\n  http:\n  - ${ROUTE}\n`,
    [
      '5: error IST0106 spec.hosts[1]: "a.example.com" and "*.example.com" have names in common. Keep one, or write two VirtualServices.',
    ],
  ],
  [
    'a gateway that is no name',
    `  hosts: [b]\n  gateways: [mesh, a/b/c]\n  http:\n  - ${ROUTE}\n`,
    [
      '6: error IST0106 spec.gateways[1]: "a/b/c" is not the name of a gateway. Write "mesh", a name, or namespace/name.',
    ],
  ],
  [
    'gateways of a delegate',
    `  gateways: [ingress]\n  http:\n  - ${ROUTE}\n`,
    ['5: error IST0106 spec.gateways: is that of a delegate, as there are no hosts. Remove it, or add "hosts".'],
  ],
  [
    'a field without effect, which does not keep the rest from being applied',
    '  hosts: [b]\n  tcp:\n  - match: [{sourceSubnet: 10.0.0.0/8}]\n    route: [{destination: {host: b}}]\n',
    [
      '7: warning TRY0005 spec.tcp[0].match[0].sourceSubnet: "sourceSubnet" has no effect here. Remove it: it has no effect in Istio either. Use sourceLabels or sourceNamespace.',
    ],
  ],
  [
    'a field that Istio has and refuses',
    `  hosts: [b]\n  http:\n  - fault: {delay: {exponentialDelay: 1s}}\n    ${ROUTE}\n`,
    [
      '7: error TRY0003 spec.http[0].fault.delay.exponentialDelay: "exponentialDelay" is part of Istio\'s API and not supported yet. Write "fixedDelay": Istio refuses this field too.',
    ],
  ],
  [
    'a server name that is none of its hosts',
    '  hosts: [a.example.com]\n  tls:\n  - match: [{sniHosts: [b.example.com]}]\n    route: [{destination: {host: b}}]\n',
    [
      '7: error IST0106 spec.tls[0].match[0].sniHosts[0]: "b.example.com" is none of the hosts of the VirtualService (a.example.com). Add it to "hosts".',
    ],
  ],
  [
    'TLS without server names',
    '  hosts: [b]\n  tls:\n  - match: [{port: 443}]\n    route: [{destination: {host: b}}]\n',
    ['7: error IST0106 spec.tls[0].match[0]: has no "sniHosts". Name the servers that the connections ask for.'],
  ],
  [
    'a range that is none',
    '  hosts: [b]\n  tcp:\n  - match: [{destinationSubnets: [10.0.0.0/33]}]\n    route: [{destination: {host: b}}]\n',
    [
      '7: error IST0106 spec.tcp[0].match[0].destinationSubnets[0]: "10.0.0.0/33" is neither an address nor a range of them. Write an IP address, or a range such as 10.0.0.0/8.',
    ],
  ],
];

for (const [what, spec, expected] of bad)
  test(`a VirtualService with ${what}`, () => assert.deepEqual(complaints(spec), expected));

/** Fields of a route that stands beside them, and what is wrong there. */
const BAD_IN_ROUTE: readonly (readonly [string, RegExp])[] = [
  ['redirect: {uri: /x}', /^7: error IST0106 spec\.http\[0\]\.route: stands beside "redirect"/],
  ['directResponse: {status: 200}', /^7: error IST0106 spec\.http\[0\]\.route: stands beside "directResponse"/],
  ['delegate: {name: x}', /^7: error IST0106 spec\.http\[0\]\.route: stands beside "delegate"/],
  ['rewrite: {}', /rewrite: rewrites nothing/],
  ['rewrite: {uri: /a, uriRegexRewrite: {match: a, rewrite: b}}', /uriRegexRewrite: stands beside "uri"/],
  ['rewrite: {uriRegexRewrite: {match: a}}', /uriRegexRewrite: needs both "match" and "rewrite"/],
  ['rewrite: {uriRegexRewrite: {match: "(a", rewrite: b}}', /uriRegexRewrite\.match: "\(a" /],
  [
    'rewrite: {uriRegexRewrite: {match: "(?:a)(b)[(]", rewrite: "\\\\2"}}',
    /rewrite: has \\2, and "match" has 1 groups/,
  ],
  ['rewrite: {uriRegexRewrite: {match: a, rewrite: "\\\\x"}}', /rewrite: has \\x, which stands for nothing/],
  ['rewrite: {uriRegexRewrite: {match: a, rewrite: "\\n"}}', /rewrite: "\\n" has a control character/],
  ['fault: {}', /fault: has neither "delay" nor "abort"/],
  ['fault: {delay: {percentage: {value: 5}}}', /fault\.delay: has no "fixedDelay"/],
  ['fault: {delay: {fixedDelay: 0s}}', /fixedDelay: "0s" is less than 1ms/],
  ['fault: {delay: {fixedDelay: 1s, percentage: {value: 101}}}', /percentage\.value: 101 is not a share in percent/],
  ['fault: {delay: {fixedDelay: 1s, percent: 5}}', /warning IST0002 .*percent: is deprecated/],
  ['fault: {abort: {percentage: {value: 5}}}', /fault\.abort: needs "httpStatus" or "grpcStatus"/],
  ['fault: {abort: {httpStatus: 199}}', /httpStatus: 199 is not a whole number from 200 to 599/],
  ['fault: {abort: {grpcStatus: UNAVAILBLE}}', /grpcStatus: .*Did you mean "UNAVAILABLE"/],
  ['fault: {abort: {http2Error: x}}', /TRY0003 .*http2Error/],
  ['mirror: {host: "*"}', /mirror\.host: "\*" is no service/],
  ['mirror: {host: c}\n    mirrors: [{destination: {host: d}}]', /mirrors: stands beside "mirror"/],
  ['mirror: {host: c}\n    mirror_percent: 5', /warning IST0002 .*mirrorPercent: is deprecated/],
  ['mirror: {host: c}\n    mirrorPercentage: {value: -1}', /mirrorPercentage\.value: -1 is not a share/],
  ['cors_policy: {allowOrigin: [a]}', /warning IST0002 .*allowOrigin: is deprecated/],
  ['corsPolicy: {allowMethods: [GTE]}', /allowMethods\[0\]: "GTE" is not an HTTP method/],
  ['corsPolicy: {maxAge: 1500ms}', /maxAge: is not a whole number of seconds/],
  ['corsPolicy: {allowOrigins: [{}]}', /allowOrigins\[0\]: says nothing to compare with/],
  ['headers: {request: {set: {"a b": c}}}', /set\["a b"\]: "a b" is not the name of a header/],
  ['headers: {request: {set: {":path": /x}}}', /":path" cannot be changed here/],
  ['headers: {request: {remove: [Host]}}', /remove\[0\]: "Host" cannot be changed here/],
  ['headers: {response: {add: {host: x}}}', /add\.host: "host" cannot be changed here/],
  ['headers: {request: {set: {a: 100%}}}', /"100%" has a "%" that begins no command/],
  ['headers: {request: {set: {a: "%NOTHING%"}}}', /has %NOTHING%, which is no command/],
  ['headers: {request: {set: {a: "%PROTOCOL:3%"}}}', /has %PROTOCOL:3%, which is no command/],
  ['headers: {request: {set: {a: "b\\nc"}}}', /has a control character/],
  [
    'headers: {request: {set: {host: a}, add: {":authority": b}}}',
    /the host is set by headers\.request\.set\.host already/,
  ],
  [
    'rewrite: {authority: a}\n    headers: {request: {set: {host: b}}}',
    /the host is set by rewrite\.authority already/,
  ],
  ['match: [{sourceNamespace: "*"}]', /sourceNamespace: "\*" is not the name of a namespace/],
  ['match: [{gateways: [a/b/c]}]', /gateways\[0\]: "a\/b\/c" is not the name of a gateway/],
  ['match: [{uri: {prefix: ""}}]', /uri\.prefix: is empty and matches everything/],
];

for (const [field, expected] of BAD_IN_ROUTE)
  test(`a route with ${field}`, () => {
    const found = complaints(`  hosts: [b]\n  http:\n  - ${ROUTE}\n    ${field}\n`);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] ?? '', expected);
  });

/** The same without a destination. */
const BAD_ALONE: readonly (readonly [string, RegExp])[] = [
  ['redirect: {}', /redirect: changes nothing/],
  ['redirect: {uri: /a, prefixRewrite: /b}\n    match: [{uri: {prefix: /c}}]', /prefixRewrite: stands beside "uri"/],
  ['redirect: {prefixRewrite: /b}', /prefixRewrite: needs a URI prefix in every match/],
  [
    'redirect: {prefixRewrite: /b}\n    match: [{uri: {prefix: /c}}, {uri: {exact: /d}}]',
    /prefixRewrite: needs a URI prefix/,
  ],
  ['redirect: {uri: /a, port: 1, derivePort: FROM_REQUEST_PORT}', /derivePort: stands beside "port"/],
  ['redirect: {scheme: ftp}', /scheme: "ftp" is neither http nor https/],
  ['redirect: {uri: /a, redirectCode: 304}', /redirectCode: 304 is no redirect/],
  ['redirect: {uri: "/a b"}', /uri: "\/a b" has characters that no address has/],
  ['redirect: {uri: /a}\n    fault: {abort: {httpStatus: 500}}', /fault: has no meaning beside "redirect"/],
  ['redirect: {uri: /a}\n    rewrite: {uri: /b}', /rewrite: has no meaning beside "redirect"/],
  ['redirect: {uri: /a}\n    directResponse: {status: 200}', /directResponse: stands beside "redirect"/],
  ['directResponse: {status: 199}', /status: 199 is not a whole number from 200 to 599/],
  ['directResponse: {status: 200, body: {}}', /body: needs "string" or "bytes"/],
  ['directResponse: {status: 200, body: {bytes: "!"}}', /bytes: is not base64/],
  [`directResponse: {status: 200, body: {string: "${'x'.repeat(1_048_577)}"}}`, /body: is 1048577 bytes long/],
];

for (const [field, expected] of BAD_ALONE)
  test(`a route with ${field.slice(0, 80)} alone`, () => {
    const found = complaints(`  hosts: [b]\n  http:\n  - ${field}\n`);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] ?? '', expected);
  });

test('a delegate, its root, and every other kind of route', () => {
  const { virtualServices, diagnostics } = parseResources([
    {
      file: 'a.yaml',
      text: `${HEAD}
  hosts: [a.example.com]
  gateways: [mesh, ingress, ./own, edge/public]
  http:
  - match: [{uri: {prefix: /a}, sourceLabels: {app: web}, sourceNamespace: shop, gateways: [ingress], statPrefix: a}]
    delegate: {name: other}
    rewrite: {uri: /b, authority: c}
    fault: {delay: {fixedDelay: 1s}, abort: {percentage: {value: 0.5}, grpcStatus: NOT_FOUND}}
    corsPolicy: {allowOrigins: [{prefix: 'https:'}], maxAge: 60s}
    headers: {request: {set: {x-a: b}}, response: {remove: [server]}}
  - redirect: {authority: x, derivePort: FROM_REQUEST_PORT, redirectCode: 307}
  - directResponse: {status: 200, body: {bytes: AP8=}}
  - mirrors: [{destination: {host: m}, percentage: {value: 5}}, {destination: {host: n}}]
    route: [{destination: {host: b}, headers: {request: {add: {x-c: d}}}}]
  tls:
  - match: [{sniHosts: [a.example.com], port: 443, destinationSubnets: [10.0.0.0/8, '::1']}]
    route: [{destination: {host: b}, weight: 1}, {destination: {host: c}, weight: 2}]
  tcp:
  - match: [{port: 3306, sourceNamespace: shop}]
    route: [{destination: {host: b}}]
`,
    },
  ]);
  assert.deepEqual(diagnostics, []);
  const [virtualService] = virtualServices;
  assert.ok(virtualService !== undefined);
  const { gateways, tls, tcp } = virtualService;
  const [root, redirect, direct, mirrored] = virtualService.http;
  assert.deepEqual(gateways, ['mesh', 'default/ingress', 'default/own', 'edge/public']);
  const [match] = root?.match ?? [];
  assert.deepEqual(match?.gateways, ['default/ingress']);
  assert.deepEqual([match?.sourceLabels, match?.sourceNamespace, match?.statPrefix], [{ app: 'web' }, 'shop', 'a']);
  assert.deepEqual(root?.delegate, { namespace: 'default', name: 'other' });
  assert.deepEqual(root?.rewrite, { uri: '/b', authority: 'c' });
  assert.deepEqual(root?.fault, {
    delay: { percent: 0, fixedDelayMs: 1000 },
    abort: { percent: 0.5, status: { kind: 'grpc', code: 5 } },
  });
  assert.deepEqual(root?.cors, {
    allowOrigins: [{ kind: 'prefix', value: 'https:' }],
    allowMethods: [],
    allowHeaders: [],
    exposeHeaders: [],
    maxAgeMs: 60_000,
    allowCredentials: undefined,
    unmatchedPreflights: 'FORWARD',
  });
  assert.deepEqual(root?.headers, {
    request: { set: { 'x-a': 'b' }, add: {}, remove: [] },
    response: { set: {}, add: {}, remove: ['server'] },
  });
  assert.deepEqual(redirect?.redirect, { authority: 'x', port: 'FROM_REQUEST_PORT', code: 307 });
  assert.deepEqual(direct?.directResponse?.body, { kind: 'bytes', bytes: new Uint8Array([0, 255]) });
  assert.deepEqual(
    mirrored?.mirrors?.map(({ destination: { host }, percent }) => [host, percent]),
    [
      ['m', 5],
      ['n', 100],
    ],
  );
  assert.deepEqual(mirrored?.destinations[0]?.headers, { request: { set: {}, add: { 'x-c': 'd' }, remove: [] } });
  assert.deepEqual(tls?.[0]?.match, [
    { destinationSubnets: ['10.0.0.0/8', '::1'], port: 443, sniHosts: ['a.example.com'] },
  ]);
  assert.deepEqual(
    tls?.[0]?.destinations.map(({ weight }) => weight),
    [1, 2],
  );
  assert.deepEqual(tcp?.[0]?.match, [{ destinationSubnets: [], port: 3306, sourceNamespace: 'shop' }]);
});
