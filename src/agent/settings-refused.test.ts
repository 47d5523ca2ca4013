import assert from 'node:assert/strict';
import { test } from 'node:test';
import { issuesOf, loadYaml } from './settings-fixture.ts';

const ONE = 'services: [{name: reviews, port: 9080}]\n';
const UP = 'upstreams: [{service: ratings, listen: 127.0.0.1:9082}]\n';

/** agent.yaml → exactly what is said of it. */
const BAD: Readonly<Record<string, readonly [yaml: string, ...issues: readonly string[]]>> = {
  'an unknown key': [
    'consul:\n  adress: http://127.0.0.1:8500\n',
    'agent.yaml:2: error TRY0901 consul.adress: unknown key "adress". Did you mean "address"?',
  ],
  'an unknown key far from any': [
    'log: {colour: blue}\n',
    'agent.yaml:1: error TRY0901 log.colour: unknown key "colour". Known keys here: level.',
  ],
  'an unknown key in a list': [
    'services:\n  - name: a\n    chek: {}\n',
    'agent.yaml:3: error TRY0901 services[0].chek: unknown key "chek". Did you mean "check"?',
  ],
  'a name that is missing': [
    'services:\n  - port: 80\n',
    'agent.yaml:2: error TRY0901 services[0].name: "name" is missing. Write it like reviews.',
  ],
  'a name that is no DNS label': [
    'services: [{name: Reviews}]\n',
    'agent.yaml:1: error TRY0901 services[0].name: "Reviews" is not a DNS label (lower-case letters, digits and single "-", at most 63). Write it like reviews.',
  ],
  'a name with the separator of Consul names': [
    'services: [{name: a--b}]\n',
    'agent.yaml:1: error TRY0901 services[0].name: "a--b" is not a DNS label (lower-case letters, digits and single "-", at most 63). Write it like reviews.',
  ],
  'an account that no SPIFFE id can hold': [
    'services: [{name: a, serviceAccount: a/b}]\n',
    'agent.yaml:1: error TRY0901 services[0].serviceAccount: "a/b" is not a name that a SPIFFE id can hold (letters, digits, ".", "_" and "-"). Write it like reviews.',
  ],
  'a port out of range': [
    'services:\n  - name: a\n    port: 65536\n',
    'agent.yaml:3: error TRY0901 services[0].port: 65536 is not a port from 1 to 65535. Write it like 9080.',
  ],
  'a port as text': [
    'services: [{name: a, port: "80"}]\n',
    'agent.yaml:1: error TRY0901 services[0].port: "80" (a string) is not a port from 1 to 65535. Write it without quotes: 80.',
  ],
  'a number as version': [
    'services: [{name: a, version: 1}]\n',
    'agent.yaml:1: error TRY0901 services[0].version: 1 (a number) is not text (a number needs quotes). Put it in quotes.',
  ],
  'a map where a list belongs': [
    'services: {name: a}\n',
    'agent.yaml:1: error TRY0901 services: a mapping is not a list. Write a list.',
  ],
  'a list where a map belongs': [
    'consul: [a]\n',
    'agent.yaml:1: error TRY0901 consul: a list is not a mapping. Write a mapping.',
  ],
  'a list as the document': [
    '- a\n',
    'agent.yaml:1: error TRY0901: the document is a list, not a mapping. Write a mapping.',
  ],
  'a duration without a unit': [
    'envoy: {drainTime: 45}\n',
    'agent.yaml:1: error TRY0901 envoy.drainTime: 45 is not a duration of 0 or more. Write it like 45s.',
  ],
  'a duration that is too short': [
    'services: [{name: a, deregisterCriticalServiceAfter: 10s}]\n',
    'agent.yaml:1: error TRY0901 services[0].deregisterCriticalServiceAfter: "10s" is not a duration of 1m or more. Write it like 72h.',
  ],
  'an unknown word': [
    'registry: kubernetes\n',
    'agent.yaml:1: error TRY0901 registry: "kubernetes" is not one of consul, files. Write it like consul.',
  ],
  'a word that is nearly one': [
    'mode: obseve\n',
    'agent.yaml:1: error TRY0901 mode: "obseve" is not one of off, observe, outbound, full. Did you mean "observe"?',
  ],
  'a Consul address without a scheme': [
    'consul: {address: "127.0.0.1:8500"}\n',
    'agent.yaml:1: error TRY0901 consul.address: "127.0.0.1:8500" is not an address of Consul (http://host:port, https://host:port or unix:///path). Write it like http://127.0.0.1:8500.',
  ],
  'a Consul address with a password, which is not shown': [
    'consul: {address: "http://me:hunter2@consul:8500"}\n',
    'agent.yaml:1: error TRY0901 consul.address: "http://…@consul:8500" is not an address of Consul (http://host:port, https://host:port or unix:///path). Write it like http://127.0.0.1:8500.',
  ],
  'a wildcard as the address of the host': [
    'host: {address: 0.0.0.0}\n',
    'agent.yaml:1: error TRY0901 host.address: "0.0.0.0" is not an IP address that peers can dial. Write it like 10.0.0.5.',
  ],
  'a listen address without a port': [
    'upstreams: [{service: a, listen: 127.0.0.1}]\nservices: [{name: b}]\n',
    'agent.yaml:1: error TRY0901 upstreams[0].listen: "127.0.0.1" is not an IP address and a port, or unix: and an absolute path. Write it like 127.0.0.1:9080.',
  ],
  'an upstream in a form of its own': [
    'upstreams:\n  - service: {name: a, namspace: b}\n    listen: 127.0.0.1:80\n',
    'agent.yaml:2: error TRY0901 upstreams[0].service: a mapping is not a service (a short name, a host name, or {name, namespace}). Write it like ratings.',
  ],
  'a token in the file, which is not shown': [
    'consul:\n  token: b1gs33cr3t\n',
    'agent.yaml:2: error TRY0904 consul.token: "token" would be a secret inside of this file. Secrets come as files only: write it to a file of mode 0600 (or a systemd credential) and name that file.',
  ],
  'a join token in the file': [
    'identity: {ca: {joinToken: abc}}\n',
    'agent.yaml:1: error TRY0904 identity.ca.joinToken: "joinToken" would be a secret inside of this file. Secrets come as files only: write it to a file of mode 0600 (or a systemd credential) and name that file.',
  ],
  'a token where its file belongs, which is not shown': [
    'consul: {tokenFile: 12345678-9abc-def0-1234-56789abcdef0}\n',
    'agent.yaml:1: error TRY0904 consul.tokenFile: the value looks like a token, not like the path of a file. Secrets come as files only: write it to a file of mode 0600 (or a systemd credential) and name that file.',
  ],
  'YAML that breaks off': [
    'services:\n  - {name: a\n',
    'agent.yaml:3: error TRY0900: Flow map in block collection must be sufficiently indented and end with a }. Correct the YAML syntax at this line.',
  ],
  'two documents': [
    'log: {level: info}\n---\nlog: {level: debug}\n',
    'agent.yaml:3: error TRY0900: the file holds several YAML documents. Keep one.',
  ],
  'a service twice': [
    'services:\n  - name: a\n  - name: a\n',
    'agent.yaml:3: error TRY0902 services[1].name: service default/a stands here and at services[0]. A host runs one instance of a service: remove one, or rename it.',
  ],
  'two services at one port': [
    'services:\n  - {name: a, port: 80, application: 127.0.0.1:81}\n  - {name: b, port: 80, application: 127.0.0.1:82}\n',
    'agent.yaml:3: error TRY0902 services[1].port: 10.0.0.5:80 of service b is taken by service a (10.0.0.5:80). Give each its own address or port.',
  ],
  'an application where Envoy listens for it': [
    'services: [{name: a, port: 80, application: 10.0.0.5:80}]\n',
    'agent.yaml:1: error TRY0902 services[0].application: 10.0.0.5:80 of the application of service a is taken by service a (10.0.0.5:80). Let the application listen on 127.0.0.1 and another port than Envoy, and name it in application.',
  ],
  'two upstreams at one address': [
    `${ONE}upstreams:\n  - {service: b, listen: 127.0.0.1:82}\n  - {service: c, listen: 127.0.0.1:82}\n`,
    'agent.yaml:4: error TRY0902 upstreams[1].listen: 127.0.0.1:82 of upstreams[1] is taken by upstreams[0] (127.0.0.1:82). Give each its own address or port.',
  ],
  'an upstream where an application listens': [
    'services: [{name: a, port: 80}]\nupstreams: [{service: b, listen: 127.0.0.1:80}]\n',
    'agent.yaml:2: error TRY0902 upstreams[0].listen: 127.0.0.1:80 of upstreams[0] is taken by the application of service a (127.0.0.1:80). Give each its own address or port.',
  ],
  'a health listener on all addresses at the port of a service': [
    `${ONE}envoy: {healthListener: 0.0.0.0:9080}\n`,
    "agent.yaml:2: error TRY0902 envoy.healthListener: 0.0.0.0:9080 of Envoy's health listener is taken by service reviews (10.0.0.5:9080). Give each its own address or port.",
  ],
  'a proxy that others could use': [
    'discovery: {proxy: "10.0.0.5:15002"}\n',
    "agent.yaml:1: error TRY0902 discovery.proxy: 10.0.0.5:15002 is not a loopback address: every machine that reaches it could call with this host's identity. Write 127.0.0.1:15002, or another address in 127.0.0.0/8 or ::1.",
  ],
  'an upstream that others could use': [
    `${ONE}upstreams: [{service: b, listen: 0.0.0.0:9082}]\n`,
    "agent.yaml:2: error TRY0902 upstreams[0].listen: 0.0.0.0:9082 is not a loopback address: every machine that reaches it could call with this host's identity. Write 127.0.0.1:9082, or another address in 127.0.0.0/8 or ::1.",
  ],
  'a wildcard as a name': [
    `${ONE}upstreams: [{service: '*.b.c'}, {service: '*.d.e', listen: 127.0.0.1:9082, port: 80}]\n`,
    'agent.yaml:2: error TRY0902 upstreams[0].service: *.b.c is no name that could be resolved. Add "listen", or capture the calls ("capture.outbound").',
  ],
  'a check of two kinds': [
    'services: [{name: a, port: 80, check: {http: /, tcp: true}}]\n',
    'agent.yaml:1: error TRY0902 services[0].check: the check of service a is http and tcp at once. Write exactly one of http, tcp, grpc, command, ttl.',
  ],
  'a check of no kind': [
    'services: [{name: a, port: 80, check: {interval: 5s}}]\n',
    'agent.yaml:1: error TRY0902 services[0].check: the check of service a does not say what to check. Write exactly one of http, tcp, grpc, command, ttl.',
  ],
  'a check without a port to ask': [
    'services: [{name: a, check: {http: /}}]\n',
    'agent.yaml:1: error TRY0902 services[0].check.http: service a has no port that a http check could ask. Give the service a port, or check it by command or ttl.',
  ],
  'a ttl check with an interval': [
    'services: [{name: a, check: {ttl: 30s, interval: 5s}}]\n',
    'agent.yaml:1: error TRY0902 services[0].check.interval: a ttl check has no interval: the application reports by itself. Remove interval.',
  ],
  'an application without a port': [
    'services: [{name: a, application: 127.0.0.1:80}]\n',
    'agent.yaml:1: error TRY0902 services[0].application: service a has an application address and no port that peers could dial. Add port, or remove application.',
  ],
  'an application at no particular address': [
    'services: [{name: a, port: 80, application: 0.0.0.0:81}]\n',
    'agent.yaml:1: error TRY0902 services[0].application: 0.0.0.0:81 cannot be dialled. Write the address that Envoy shall connect to, such as 127.0.0.1:81.',
  ],
  'a version that a label contradicts': [
    'services:\n  - name: a\n    version: v1\n    labels: {version: v2}\n',
    'agent.yaml:4: error TRY0902 services[0].labels.version: label version "v2" contradicts version "v1". Remove the label: version makes it.',
  ],
  'upstreams of several accounts': [
    `services: [{name: a}, {name: b}]\n${UP}`,
    'agent.yaml:2: error TRY0902 upstreams: a loopback listener cannot tell which of default/a, default/b calls. Set callAs to one of them, such as callAs: default/a',
  ],
  'upstreams of nobody': [
    UP,
    'agent.yaml:1: error TRY0902 upstreams: this host calls upstreams and has no service whose identity the calls could carry. Add the calling program to services (without a port), or set identity.provider to none for plain text.',
  ],
  'an account that the host does not have': [
    `callAs: default/review\n${ONE}${UP}`,
    'agent.yaml:1: error TRY0902 callAs: default/review is not an account of a service of this host (default/reviews). Did you mean "default/reviews"?',
  ],
  'files of an identity that are incomplete': [
    'identity:\n  provider: files\n',
    'agent.yaml:1: error TRY0902 identity.files: identity provider "files" needs certificateFile. Set identity.files.certificateFile.',
    'agent.yaml:1: error TRY0902 identity.files: identity provider "files" needs keyFile. Set identity.files.keyFile.',
    'agent.yaml:1: error TRY0902 identity.files: identity provider "files" needs rootFile. Set identity.files.rootFile.',
  ],
  'systemd credentials without systemd': [
    'consul: {tokenFile: "${CREDENTIALS_DIRECTORY}/consul"}\n',
    'agent.yaml:1: error TRY0903 consul.tokenFile: ${CREDENTIALS_DIRECTORY}/consul cannot be found: the environment has no CREDENTIALS_DIRECTORY. Let systemd set it by LoadCredential=consul:/path/of/consul in the unit, or write an absolute path.',
  ],
  'TLS files on an address without TLS': [
    'consul: {caFile: /dev/null}\n',
    'agent.yaml:1: error TRY0902 consul.caFile: caFile has no effect on http://127.0.0.1:8500. Write an https:// address, or remove caFile.',
    'agent.yaml:1: error TRY0903 consul.caFile: /dev/null is not a regular file. Name a file.',
  ],
  'an application on loopback that peers are to dial': [
    'mode: off\nservices: [{name: a, port: 80, application: 127.0.0.1:81}]\n',
    'agent.yaml:2: error TRY0902 services[0].application: in mode off peers dial the application of service a itself, and 127.0.0.1:81 is a loopback address. Let it listen on 10.0.0.5 and write that, or choose mode observe or full.',
  ],
  'an application on loopback in mode outbound, of one service': [
    'services: [{name: a, mode: outbound, port: 80, application: "[::1]:81"}]\n',
    'agent.yaml:1: error TRY0902 services[0].application: in mode outbound peers dial the application of service a itself, and [::1]:81 is a loopback address. Let it listen on 10.0.0.5 and write that, or choose mode observe or full.',
  ],
  'a unit and a user for one service': [
    'services: [{name: a, unit: a.service, user: a}]\n',
    'agent.yaml:1: error TRY0902 services[0].user: service a has a unit and a user, and one of them says whose calls are its own. Remove one: the unit is the narrower.',
  ],
  'a unit without its kind': [
    'services: [{name: a, unit: a}]\n',
    'agent.yaml:1: error TRY0901 services[0].unit: "a" is not a systemd unit (its name with .service, .scope or .slice). Write it like orders.service.',
  ],
  'captured calls of nobody': [
    `capture: {outbound: listed}\n${ONE}`,
    'agent.yaml:1: error TRY0902 capture.outbound: no service has a unit or a user whose calls could be captured. Add unit or user to services, or capture the calls of the whole host.',
  ],
  'one unit that would call as two': [
    'capture: {outbound: listed}\nservices:\n  - {name: a, unit: x.service}\n  - {name: b, unit: x.service}\n',
    'agent.yaml:4: error TRY0902 services[1].unit: unit x.service would call as default/b in mode full, and for service a as default/a in mode full. Run the services as different units, or give them one serviceAccount and one mode.',
  ],
  'the calls of a host with several identities': [
    'capture: {outbound: host}\nservices: [{name: a, unit: a.service}, {name: b, user: b}]\n',
    "agent.yaml:1: error TRY0902 capture.outbound: the host's other calls cannot tell which of default/a, default/b calls. Set callAs to one of them, such as callAs: default/a",
  ],
  'the calls of containers on a host with several identities': [
    'capture: {interfaces: [docker0]}\nservices: [{name: a}, {name: b}]\n',
    "agent.yaml:1: error TRY0902 capture.interfaces: a container's interface cannot tell which of default/a, default/b calls. Set callAs to one of them, such as callAs: default/a",
  ],
  'a captured port that no service has': [
    'services: [{name: a, capture: redirect}]\n',
    'agent.yaml:1: error TRY0902 services[0].capture: service a has no port that could be captured. Add port, or remove capture.',
  ],
  'ssh captured': [
    'services: [{name: a, port: 22, capture: redirect}]\n',
    'agent.yaml:1: error TRY0902 services[0].capture: port 22 is never captured: it is how you get back in. Remove capture.',
  ],
  'an application beside its captured port': [
    'services: [{name: a, port: 80, capture: redirect, application: 10.0.0.5:81}]\n',
    'agent.yaml:1: error TRY0902 services[0].application: the port of service a is captured, so that its application listens on 80 itself and not at 10.0.0.5:81. Remove application, or capture.',
  ],
  'an application on loopback whose callers keep their address': [
    'services: [{name: a, port: 80, capture: tproxy, application: 127.0.0.1:80}]\n',
    'agent.yaml:1: error TRY0902 services[0].application: with tproxy connections keep the address of their caller, and from there 127.0.0.1:80 cannot be reached. Remove application (the address of the host holds then), or write capture: redirect.',
  ],
  'one port captured twice': [
    'services:\n  - {name: a, port: 80, capture: redirect}\n  - {name: b, port: 80, capture: redirect}\n',
    'agent.yaml:3: error TRY0902 services[1].port: port 80 is captured for service a already. Give each captured service a port of its own.',
  ],
  'a service at the port of captured connections': [
    'services:\n  - {name: a, port: 80, capture: redirect}\n  - {name: b, port: 15006, application: 127.0.0.1:81}\n',
    'agent.yaml:1: error TRY0902 services: 0.0.0.0:15006 of captured inbound connections is taken by service b (10.0.0.5:15006). Give each its own address or port.',
  ],
  'two upstreams at one socket': [
    `${ONE}upstreams:\n  - {service: b, listen: "unix:/run/u.sock"}\n  - {service: c, listen: "unix:/run/u.sock"}\n`,
    'agent.yaml:4: error TRY0902 upstreams[1].listen: unix:/run/u.sock is taken by upstreams[0]. Give each a socket of its own.',
  ],
  'the path of a socket that leaves its folder': [
    `${ONE}upstreams: [{service: b, listen: "unix:/run/../u.sock"}]\n`,
    'agent.yaml:2: error TRY0901 upstreams[0].listen: "unix:/run/../u.sock" is not an IP address and a port, or unix: and an absolute path. Write it like 127.0.0.1:9080.',
  ],
  'the path of a socket that is too long': [
    `${ONE}upstreams: [{service: b, listen: "unix:/${'x'.repeat(107)}"}]\n`,
    `agent.yaml:2: error TRY0902 upstreams[0].listen: /${'x'.repeat(107)} has 108 bytes, and the path of a Unix socket at most 107. Choose a shorter path.`,
  ],
  'a socket of several accounts': [
    'services: [{name: a}, {name: b}]\nupstreams: [{service: c, listen: "unix:/run/u.sock"}]\n',
    'agent.yaml:2: error TRY0902 upstreams: the socket of upstreams[0] cannot tell which of default/a, default/b calls. Set callAs to one of them, such as callAs: default/a',
  ],
  'an upstream of an account that the host does not have': [
    'services: [{name: a}, {name: b}]\nupstreams: [{service: c, listen: "127.0.0.1:1", callAs: default/aa}]\n',
    'agent.yaml:2: error TRY0902 upstreams[0].callAs: default/aa is not an account of a service of this host (default/a, default/b). Did you mean "default/a"?',
  ],
  'an upstream by name twice': [
    `${ONE}upstreams: [{service: b}, {service: b}]\n`,
    'agent.yaml:2: error TRY0902 upstreams[1]: b is called by its name in upstreams[0] already. Remove one.',
  ],
  'an upstream by name with a port': [
    `${ONE}upstreams: [{service: b, port: 80}]\n`,
    'agent.yaml:2: error TRY0902 upstreams[0].port: b is called by its name, on all its ports. Remove port, or add listen.',
  ],
  'an upstream by name with a caller': [
    `${ONE}upstreams: [{service: b, callAs: {namespace: default, serviceAccount: reviews}}]\n`,
    'agent.yaml:2: error TRY0902 upstreams[0].callAs: b is called by its name, at an address that everybody on this host shares. Add a listen of its own, or set callAs of the host.',
  ],
  'addresses of names that nothing captures': [
    `${ONE}upstreams: [{service: b}]\ndns: {addresses: [240.240.0.0/16]}\n`,
    'agent.yaml:3: error TRY0902 dns.addresses[0]: nothing on this host listens at addresses of 240.240.0.0/16, and calls to them are not captured. Use a range of 127.0.0.0/8, or set capture.outbound.',
  ],
  'one address for all names': [
    'dns: {addresses: [127.0.0.5]}\n',
    'agent.yaml:1: error TRY0902 dns.addresses[0]: 127.0.0.5 is one address, and every service needs its own. Write a range, such as 127.240.0.0/16.',
  ],
  'a range with bits after its length': [
    'dns: {addresses: [127.240.1.0/16]}\n',
    'agent.yaml:1: error TRY0901 dns.addresses[0]: "127.240.1.0/16" is not an IP address or a range of them (address/length, with no bit set after the length). Write it like 10.0.0.0/8.',
  ],
  'two ranges of one family': [
    'dns: {addresses: [127.240.0.0/16, 127.241.0.0/16]}\n',
    'agent.yaml:1: error TRY0902 dns.addresses[1]: 127.241.0.0/16 is the second range of its family. Keep one of IPv4 and one of IPv6.',
  ],
  'names without IPv4 addresses': [
    `${ONE}capture: {outbound: host}\nupstreams: [{service: b}]\ndns: {addresses: ["2001:2::/64"]}\n`,
    'agent.yaml:4: error TRY0902 dns.addresses: there is no range of IPv4: who asks for an IPv4 address would hear that there is no such name. Add one, such as 127.240.0.0/16.',
  ],
  'names answered to other machines': [
    'dns: {listen: "10.0.0.5:53"}\n',
    'agent.yaml:1: error TRY0902 dns.listen: 10.0.0.5:53 is not a loopback address: other machines could ask for the names of the mesh. Write 127.0.0.1:53.',
  ],
  'a folder too long for a socket': [
    `paths: {run: /${'x'.repeat(100)}}\n`,
    `agent.yaml:1: error TRY0902 paths.run: /${'x'.repeat(100)}/admin.sock has 112 bytes, and the path of a Unix socket at most 107. Choose a shorter folder, such as /run/trysail.`,
  ],
};

for (const [name, [yaml, ...expected]] of Object.entries(BAD))
  test(`agent.yaml with ${name} is refused`, (t) => {
    const loaded = loadYaml(t, yaml);
    assert.ok('issues' in loaded);
    assert.deepEqual(issuesOf(loaded), expected);
  });

test('several mistakes are told at once, sorted by line', (t) => {
  const loaded = loadYaml(t, 'log: {level: loud}\nregistry: none\nservices:\n  - {name: A}\n  - {name: B}\n');
  assert.deepEqual(
    issuesOf(loaded).map((issue) => issue.split(':', 2)[1]),
    ['1', '2', '4', '5'],
  );
});
