/** VirtualService: from Istio's form to the model's, with the rules that its schema cannot say. */
import type { Path } from '../../lib/yaml-document.ts';
import { MESH_GATEWAY, type VirtualService } from '../../model/virtual-service.ts';
import { defineKind, NETWORKING_VERSIONS, type Report } from './kind.ts';
import { hintHost } from './likely-mistakes.ts';
import { buildTcpRoute, buildTlsRoute } from './virtual-service-connections.ts';
import { buildHttpRoute } from './virtual-service-http.ts';
import { buildGateways } from './virtual-service-match.ts';
import { VIRTUAL_SERVICE_UNSUPPORTED, virtualServiceSchema } from './virtual-service-schema.ts';

function overlap(a: string, b: string): boolean {
  if (a === b) return true;
  const covers = (pattern: string, host: string): boolean =>
    pattern === '*' ||
    (pattern.startsWith('*.') && host.length > pattern.length - 1 && host.endsWith(pattern.slice(1)));
  return covers(a, b) || covers(b, a);
}

function checkHosts(hosts: readonly string[], forMesh: boolean, report: Report): void {
  for (const [i, host] of hosts.entries()) {
    const path: Path = ['hosts', i];
    hintHost(host, path, report);
    if (host === '*' && forMesh)
      report(path, '"*" is not allowed within the mesh', 'Name the services, or bind it to gateways alone.');
    const earlier = hosts.slice(0, i).find((other) => overlap(other, host));
    if (earlier === undefined) continue;
    if (earlier === host) report(path, `"${host}" stands here twice`, 'Keep one.');
    else report(path, `"${host}" and "${earlier}" have names in common`, 'Keep one, or write two VirtualServices.');
  }
}

/** Hosts stay as written: they are completed when the mesh is built, which knows the templates. */
export const virtualServiceKind = defineKind({
  kind: 'VirtualService',
  apiVersions: NETWORKING_VERSIONS,
  schema: virtualServiceSchema,
  unsupported: VIRTUAL_SERVICE_UNSUPPORTED,
  build(meta, spec, report, locate): VirtualService {
    const { hosts = [], http = [], tls = [], tcp = [] } = spec;
    const { namespace } = meta;
    const isDelegate = hosts.length === 0;
    const gateways = buildGateways(spec.gateways ?? [], namespace, ['gateways'], report);
    if (isDelegate)
      for (const field of ['gateways', 'tls', 'tcp'] as const)
        if ((spec[field]?.length ?? 0) > 0)
          report([field], 'is that of a delegate, as there are no hosts', 'Remove it, or add "hosts".');
    checkHosts(hosts, gateways.length === 0 || gateways.includes(MESH_GATEWAY), report);
    if (http.length + tls.length + tcp.length === 0)
      report(['http'], 'has no routes', 'Add "http", "tls" or "tcp" with at least one route.');
    const context = { namespace, isDelegate, report, locate };
    return {
      meta,
      hosts,
      ...(gateways.length > 0 && { gateways }),
      http: http.map((route, i) => buildHttpRoute(route, ['http', i], context)),
      ...(tls.length > 0 && {
        tls: tls.map((route, i) => ({
          ...buildTlsRoute(route, hosts, namespace, ['tls', i], report),
          source: locate(['tls', i]),
        })),
      }),
      ...(tcp.length > 0 && {
        tcp: tcp.map((route, i) => ({
          ...buildTcpRoute(route, namespace, ['tcp', i], report),
          source: locate(['tcp', i]),
        })),
      }),
      exportTo: spec.exportTo ?? [],
    };
  },
});
