import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

function read(kind: string, spec: string): ReturnType<typeof parseResources> {
  const head = `apiVersion: networking.istio.io/v1alpha3\nkind: ${kind}\nmetadata: {name: a, labels: {version: v2}}\nspec:\n`;
  return parseResources([{ file: 'a.yaml', text: head + spec }]);
}

function complaints(kind: string, spec: string): readonly string[] {
  return read(kind, spec).diagnostics.map((diagnostic) =>
    formatDiagnostic(diagnostic)
      .replace(`${kind} default/a `, '')
      .replace(' (the resource is not applied)', '')
      .replace(/^a\.yaml:/, ''),
  );
}

const NOWHERE = { region: '', zone: '', subzone: '' };

test('everything that a ServiceEntry supports', () => {
  const { serviceEntries, diagnostics } = read(
    'ServiceEntry',
    `
  hosts: [reviews, api.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  addresses: [10.1.0.0/16]
  ports: [{number: 80, protocol: grpc, name: api, targetPort: 8080}, {number: 6379, protocol: Redis}, {number: 90}]
  endpoints:
  - address: 10.0.0.1
    ports: {api: 9080}
    labels: {version: v1, security.istio.io/tlsMode: disabled}
    locality: eu/a
    weight: 3
    serviceAccount: reviews
  - {address: "fd00::1", service_account: reviews}
  - {address: 10.0.0.3}
  subjectAltNames: ["spiffe://cluster.local/ns/default/sa/reviews"]
  exportTo: [.]
`,
  );
  assert.deepEqual(diagnostics, []);
  const { meta, ...entry } = serviceEntries[0] ?? { meta: undefined };
  assert.equal(meta?.name, 'a');
  const plain = { ports: {}, labels: {}, locality: NOWHERE, weight: 1, network: undefined };
  assert.deepEqual(entry, {
    hosts: ['reviews', 'api.example.com'],
    ports: [
      { number: 80, name: 'api', protocol: 'GRPC', targetPort: 8080 },
      { number: 6379, name: 'port-6379', protocol: 'TCP', targetPort: 6379 },
      { number: 90, name: 'port-90', protocol: 'AUTO', targetPort: 90 },
    ],
    addresses: ['10.1.0.0/16'],
    external: false,
    resolution: 'EDS',
    endpoints: [
      {
        address: '10.0.0.1',
        ports: { api: 9080 },
        labels: { version: 'v1', 'security.istio.io/tlsMode': 'disabled' },
        locality: { region: 'eu', zone: 'a', subzone: '' },
        weight: 3,
        serviceAccount: 'reviews',
        network: undefined,
        offersMtls: false,
      },
      { ...plain, address: 'fd00::1', serviceAccount: 'reviews', offersMtls: true },
      { ...plain, address: '10.0.0.3', serviceAccount: undefined, offersMtls: false },
    ],
    workloadSelector: undefined,
    subjectAltNames: ['spiffe://cluster.local/ns/default/sa/reviews'],
    exportTo: ['.'],
  });
});

const resolutions = [
  ['DNS', 'STRICT_DNS'],
  ['DNS_ROUND_ROBIN', 'LOGICAL_DNS'],
  ['STATIC', 'EDS'],
  ['NONE', 'ORIGINAL_DST'],
] as const;

for (const [written, expected] of resolutions)
  test(`the resolution ${written} is ${expected}, the location outside of the mesh`, () => {
    const { serviceEntries } = read(
      'ServiceEntry',
      `  {hosts: [a.b], ports: [{number: 80}], resolution: ${written}}\n`,
    );
    assert.equal(serviceEntries[0]?.resolution, expected);
    assert.equal(serviceEntries[0].external, true);
  });

test("a WorkloadEntry's labels are overlaid with those of its metadata", () => {
  const { workloadEntries, diagnostics } = read(
    'WorkloadEntry',
    '  {address: 10.0.0.1, ports: {http: 8080}, labels: {version: v1, a: b}, service_account: web, weight: 0, network: n1}\n',
  );
  assert.deepEqual(diagnostics, []);
  assert.deepEqual(workloadEntries[0]?.workload, {
    address: '10.0.0.1',
    ports: { http: 8080 },
    labels: { version: 'v2', a: 'b' },
    locality: NOWHERE,
    weight: 1,
    serviceAccount: 'web',
    network: 'n1',
    offersMtls: true,
  });
});

const S = '  hosts: [a.b]\n  ports: [{number: 80}]\n';
const STATIC = `${S}  resolution: STATIC\n`;

const bad: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'dynamic resolution of what does not name a host',
    `${S}  resolution: DYNAMIC_DNS\n  addresses: [10.0.0.1]\n`,
    [
      '5: error IST0106 spec.hosts[0]: resolution: DYNAMIC_DNS takes wildcards alone. Use resolution: DNS, or write *.name.',
      '6: error IST0106 spec.ports[0]: resolution: DYNAMIC_DNS needs requests or TLS that name the host. Set "protocol" to HTTP, HTTP2, GRPC or TLS.',
      '8: error IST0106 spec.addresses: resolution: DYNAMIC_DNS takes none. Remove them.',
    ],
  ],
  [
    'dynamic resolution to another port',
    '  hosts: ["*.b.c"]\n  ports: [{number: 80, protocol: HTTP, targetPort: 8080}]\n  resolution: DYNAMIC_DNS\n',
    ['6: error IST0106 spec.ports[0].targetPort: resolution: DYNAMIC_DNS calls the port itself. Remove it.'],
  ],
  [
    'a wildcard that would have to be resolved',
    '  hosts: ["*.b.c"]\n  ports: [{number: 80}]\n  resolution: DNS\n',
    [
      '5: error IST0106 spec.hosts[0]: "*.b.c" cannot be resolved. Use resolution: DYNAMIC_DNS or NONE, or add "endpoints".',
    ],
  ],
  [
    'endpoints and no resolution, which is NONE',
    `${S}  endpoints: [{address: 10.0.0.1}]\n`,
    [
      '7: error IST0106 spec.endpoints: resolution: NONE has no endpoints. Use resolution: STATIC or DNS, or remove it.',
    ],
  ],
  [
    'a selector and no resolution',
    `${S}  workloadSelector: {labels: {a: b}}\n`,
    [
      '7: error IST0106 spec.workloadSelector: resolution: NONE has no endpoints. Use resolution: STATIC or DNS, or remove it.',
    ],
  ],
  [
    'addresses that are none',
    `${S}  addresses: [10.0.0.0/33, x, fd00::/8, 10.0.0.0/8]\n`,
    [
      '7: error IST0106 spec.addresses[0]: "10.0.0.0/33" is neither an IP address nor a CIDR range. Correct it.',
      '7: error IST0106 spec.addresses[1]: "x" is neither an IP address nor a CIDR range. Correct it.',
    ],
  ],
  [
    'a range for a name that is resolved',
    `${S}  resolution: DNS\n  addresses: [10.0.0.0/8]\n`,
    [
      '8: error IST0106 spec.addresses[0]: is a range, which resolutions NONE and STATIC alone take. Write single addresses.',
    ],
  ],
  [
    'hosts that TCP does not tell apart',
    '  hosts: [a.b, c.d]\n  ports: [{number: 80, protocol: HTTP}, {number: 5432, protocol: TCP}]\n  resolution: DNS\n',
    [
      '6: warning IST0134 spec.ports[1]: the hosts cannot be told apart on port 5432, which has no protocol that names them. Write a ServiceEntry for each host, with "addresses".',
    ],
  ],
  [
    'every host',
    '  hosts: ["*"]\n  ports: [{number: 80}]\n  resolution: STATIC\n',
    ['5: error IST0106 spec.hosts[0]: "*" is not allowed. Name the service.'],
  ],
  [
    'no hosts',
    '  ports: [{number: 80}]\n  resolution: STATIC\n',
    ['4: error IST0106 spec.hosts: "hosts" is missing. Add it, as a list.'],
  ],
  [
    'no ports',
    '  hosts: [a.b]\n  resolution: STATIC\n',
    ['4: error IST0106 spec.ports: there are no ports. Add "ports" with at least one number.'],
  ],
  [
    'a port twice',
    '  hosts: [a.b]\n  resolution: DNS\n  ports:\n  - {number: 80, name: a}\n  - {number: 80, name: a}\n',
    [
      '9: error IST0106 spec.ports[1].name: the name "a" stands here twice. Rename one.',
      '9: error IST0106 spec.ports[1].number: port 80 stands here twice. Keep one.',
    ],
  ],
  [
    'everybody and somebody to be exported to',
    '  hosts: [a.b]\n  resolution: DNS\n  ports: [{number: 80}]\n  exportTo: [shop, "*"]\n',
    [
      '8: error IST0106 spec.exportTo: has other names beside "*", which is everybody. Write "*" or "~" alone, or each namespace once.',
    ],
  ],
  [
    'a namespace twice to be exported to',
    '  hosts: [a.b]\n  resolution: DNS\n  ports: [{number: 80}]\n  exportTo: [shop, ., shop]\n',
    ['8: error IST0106 spec.exportTo: has "shop" twice. Write "*" or "~" alone, or each namespace once.'],
  ],
  [
    'an unknown protocol',
    '  hosts: [a.b]\n  resolution: DNS\n  ports: [{number: 80, protocol: UDP}]\n',
    [
      '7: error IST0106 spec.ports[0].protocol: "UDP" is not a supported protocol. Use one of: HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP, MONGO, REDIS, MYSQL; or leave it out to have it detected.',
    ],
  ],
  [
    'a name where an IP address must stand',
    `${STATIC}  endpoints:\n  - address: db.example.com\n`,
    [
      '9: error IST0106 spec.endpoints[0].address: "db.example.com" is not an IP address. Use resolution: DNS for names.',
    ],
  ],
  [
    'Unix sockets that are none',
    `${STATIC}  endpoints: [{address: "unix:///run/x"}, {address: "unix:x"}, {address: "unix:///y", ports: {port-80: 1}}]\n`,
    [
      '8: error IST0106 spec.endpoints[1].address: "unix:x" is no absolute path of a Unix socket. Write unix:///run/app.sock.',
      '8: error IST0106 spec.endpoints[2].ports: a Unix socket has no ports. Remove them.',
    ],
  ],
  [
    'a Unix socket that would have to be resolved',
    `${S}  resolution: DNS\n  endpoints: [{address: "unix:///run/x"}]\n`,
    ['8: error IST0106 spec.endpoints[0].address: a Unix socket is not resolved by DNS. Use resolution: STATIC.'],
  ],
  [
    'an endpoint without an address',
    `${STATIC}  endpoints:\n  - weight: 1\n`,
    ['9: error IST0106 spec.endpoints[0]: "address" is missing. Add the IP address or DNS name of the workload.'],
  ],
  [
    'an endpoint with a port that the entry does not have',
    `${STATIC}  endpoints:\n  - address: 10.0.0.1\n    ports: {http: 80}\n`,
    ['10: error IST0106 spec.endpoints[0].ports.http: "http" is not a port here. Use one of: port-80.'],
  ],
  [
    'endpoints and a selector',
    `${STATIC}  endpoints: [{address: 10.0.0.1}]\n  workloadSelector: {labels: {a: b}}\n`,
    ['9: error IST0106 spec.workloadSelector: excludes "endpoints". Keep one of the two.'],
  ],
  [
    'a selector of nothing',
    `${STATIC}  workloadSelector: {}\n`,
    ['8: error IST0106 spec.workloadSelector: selects nothing. Add "labels".'],
  ],
  [
    'two endpoints of one name',
    `${S}  resolution: DNS_ROUND_ROBIN\n  endpoints: [{address: a.b}, {address: c.d}]\n`,
    ['8: error IST0106 spec.endpoints: DNS_ROUND_ROBIN takes one endpoint at most. Use DNS, or keep one endpoint.'],
  ],
];

for (const [what, spec, expected] of bad)
  test(`a ServiceEntry with ${what}`, () => assert.deepEqual(complaints('ServiceEntry', spec), expected));

test('a WorkloadEntry with an address that is none', () => {
  assert.deepEqual(complaints('WorkloadEntry', '  address: "*.x"\n'), [
    '5: error IST0106 spec.address: "*.x" is neither an IP address nor a DNS name. Write one alone, such as 10.0.0.5 or db.example.com.',
  ]);
});
