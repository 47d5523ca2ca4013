import assert from 'node:assert/strict';
import { test } from 'node:test';
import { build, catalogue, instance, istio, messages, resources, route } from './mesh-fixture.ts';

interface ReferenceCase {
  readonly what: string;
  readonly yaml: string;
  readonly diagnostics: readonly string[];
}

const KNOWN = { web: [instance('n/1')], gone: [] };
const dest = (destination: string): string =>
  istio('VirtualService', 'v', `{hosts: [web], http: [{route: [{destination: ${destination}}]}]}`);

const references: readonly ReferenceCase[] = [
  { what: 'a known service', yaml: dest('{host: web, port: {number: 9080}}'), diagnostics: [] },
  { what: 'a service that this host does not follow', yaml: dest('{host: elsewhere}'), diagnostics: [] },
  {
    what: 'a service that the catalogue does not have',
    yaml: dest('{host: gone}'),
    diagnostics: [
      'r.yaml:5: warning IST0101 VirtualService default/v spec.http[0].route[0].destination.host: nothing is known of gone.default.mesh; requests for it fail. Correct the name, or start the service.',
    ],
  },
  {
    what: 'a host outside of the mesh that no ServiceEntry describes',
    yaml: dest('{host: api.example.com}'),
    diagnostics: [
      'r.yaml:5: warning IST0101 VirtualService default/v spec.http[0].route[0].destination.host: nothing is known of api.example.com; requests for it fail. Correct the name, or start the service.',
    ],
  },
  {
    what: 'a port that the service does not have',
    yaml: dest('{host: web, port: {number: 80}}'),
    diagnostics: [
      'r.yaml:5: warning IST0101 VirtualService default/v spec.http[0].route[0].destination.port: web.default.mesh has no port 80; requests for it fail. Use one of: 9080.',
    ],
  },
  {
    what: 'copies, TLS and TCP that lead nowhere',
    yaml: istio(
      'VirtualService',
      'v',
      `{hosts: [web.default.mesh], http: [{mirrors: [{destination: {host: gone}}], route: [{destination: {host: web}}]}],
  tls: [{match: [{sniHosts: [web.default.mesh]}], route: [{destination: {host: gone}}]}],
  tcp: [{route: [{destination: {host: web, port: {number: 80}}}]}]}`,
    ),
    diagnostics: [
      'r.yaml:5: warning IST0101 VirtualService default/v spec.http[0].mirrors[0].host: nothing is known of gone.default.mesh; requests for it fail. Correct the name, or start the service.',
      'r.yaml:6: warning IST0101 VirtualService default/v spec.tls[0].route[0].destination.host: nothing is known of gone.default.mesh; requests for it fail. Correct the name, or start the service.',
      'r.yaml:7: warning IST0101 VirtualService default/v spec.tcp[0].route[0].destination.port: web.default.mesh has no port 80; requests for it fail. Use one of: 9080.',
    ],
  },
  {
    what: 'what a delegate leads to, and a delegate that is missing',
    yaml:
      istio('VirtualService', 'v', '{hosts: [web], http: [{delegate: {name: d}}, {delegate: {name: none}}]}') +
      istio('VirtualService', 'd', '{http: [{route: [{destination: {host: gone}}]}]}'),
    diagnostics: [
      'r.yaml:5: warning IST0101 VirtualService default/v spec.http[1].delegate: there is no VirtualService default/none without hosts; the route is left out. Correct the name, or add it.',
      'r.yaml:10: warning IST0101 VirtualService default/d spec.http[0].route[0].destination.host: nothing is known of gone.default.mesh; requests for it fail. Correct the name, or start the service.',
    ],
  },
  {
    what: 'a host that another VirtualService has at gateways alone',
    yaml:
      istio('VirtualService', 'a', `{hosts: [web], gateways: [ingress], ${route('web')}}`) +
      istio('VirtualService', 'b', `{hosts: [web], ${route('web')}}`),
    diagnostics: [],
  },
  {
    what: 'a subset that no rule has',
    yaml: dest('{host: web, subset: v2}') + istio('DestinationRule', 'd', '{host: web, subsets: [{name: v1}]}'),
    diagnostics: [
      'r.yaml:5: warning IST0101 VirtualService default/v spec.http[0].route[0].destination.subset: no DestinationRule for web.default.mesh has a subset "v2"; requests for it fail. Add the subset to a DestinationRule with host web.default.mesh.',
    ],
  },
  {
    what: 'a subset that a rule has',
    yaml: dest('{host: web, subset: v1}') + istio('DestinationRule', 'd', '{host: web, subsets: [{name: v1}]}'),
    diagnostics: [],
  },
  {
    what: 'a subset that a rule for a wildcard has',
    yaml:
      dest('{host: web, subset: v1}') +
      istio('DestinationRule', 'd', '{host: "*.default.mesh", subsets: [{name: v1}]}'),
    diagnostics: [],
  },
  {
    what: 'a subset that a rule for a wildcard of its further names has',
    yaml:
      dest('{host: web, subset: v1}') +
      istio('DestinationRule', 'd', '{host: "*.svc.cluster.local", subsets: [{name: v1}]}'),
    diagnostics: [],
  },
  {
    what: 'a subset that a rule for another wildcard has',
    yaml:
      dest('{host: web, subset: v1}') + istio('DestinationRule', 'd', '{host: "*.shop.mesh", subsets: [{name: v1}]}'),
    diagnostics: [
      'r.yaml:5: warning IST0101 VirtualService default/v spec.http[0].route[0].destination.subset: no DestinationRule for web.default.mesh has a subset "v1"; requests for it fail. Add the subset to a DestinationRule with host web.default.mesh.',
    ],
  },
  {
    what: 'a service by half of its name',
    yaml: dest('{host: web.default}'),
    diagnostics: [
      'r.yaml:5: warning IST0101 VirtualService default/v spec.http[0].route[0].destination.host: nothing is known of web.default; requests for it fail. Write the whole name of the service: one with a dot is taken as it stands, and not completed.',
    ],
  },
  {
    what: 'a host that another VirtualService has',
    yaml:
      istio('VirtualService', 'a', `{hosts: [web], ${route('web')}}`) +
      istio('VirtualService', 'b', `{hosts: [web.default.mesh], ${route('web')}}`),
    diagnostics: [
      'r.yaml:7: error IST0109 VirtualService default/b spec.hosts: web.default.mesh is routed by VirtualService default/a already, which is older and holds. Join the two, or remove the host from one of them.',
    ],
  },
  {
    what: 'a host that another VirtualService has for other namespaces',
    yaml:
      istio('VirtualService', 'a', `{hosts: [web], exportTo: [.], ${route('web')}}`) +
      istio('VirtualService', 'b', `{hosts: [web.default.mesh], exportTo: [.], ${route('web.default.mesh')}}`, 'shop'),
    diagnostics: [],
  },
];

for (const { what, yaml, diagnostics } of references)
  test(`a VirtualService that refers to ${what}`, () => {
    const mesh = build({ resources: resources(yaml), catalogue: catalogue(KNOWN) });
    assert.deepEqual(messages(mesh), diagnostics);
    assert.ok(mesh.virtualServices.length > 0, 'it is applied all the same');
  });

test('references are judged anew when the service comes or goes, without a new service map in between', () => {
  const set = resources(dest('{host: gone}'));
  const absent = build({ resources: set, catalogue: catalogue({ gone: [] }) });
  assert.equal(absent.diagnostics.length, 1);
  const present = build({ resources: set, catalogue: catalogue({ gone: [instance('n/1', { port: 80 })] }) }, absent);
  assert.deepEqual(present.diagnostics, []);
});
