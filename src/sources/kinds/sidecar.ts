/** Sidecar: from Istio's form to the model's, with the rules that its schema cannot say. */
import type { Path } from '../../lib/yaml-document.ts';
import type { ServerTls } from '../../model/gateway.ts';
import { protocolOf } from '../../model/protocol.ts';
import type { Sidecar, SidecarEgress, SidecarHost, SidecarIngress, SidecarPort } from '../../model/sidecar.ts';
import { isIpAddress } from '../field-types.ts';
import { buildConnectionPool } from './connection-pool.ts';
import { buildServerTls } from './gateway-tls.ts';
import { defineKind, NETWORKING_VERSIONS, type Report } from './kind.ts';
import { SIDECAR_UNSUPPORTED, type SidecarPortSpec, type SidecarSpec, sidecarSchema } from './sidecar-schema.ts';

type IngressSpec = NonNullable<SidecarSpec['ingress']>[number];
type EgressSpec = NonNullable<SidecarSpec['egress']>[number];

/** An empty text is as none, in Istio's API. */
function written(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function portOf(spec: SidecarPortSpec): SidecarPort {
  const { number, protocol, name } = spec;
  return { number, name: written(name) ?? `port-${number}`, protocol: protocolOf(protocol ?? '') ?? 'AUTO' };
}

const SOCKET = /^unix:\/\/(?:\/|@).+/;
const ENDPOINT = /^(?:127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):(\d{1,5})$/;

function isDefaultEndpoint(text: string): boolean {
  if (SOCKET.test(text)) return true;
  const port = Number(ENDPOINT.exec(text)?.[1]);
  return port >= 1 && port <= 65_535;
}

/** TLS that is not the mesh's, ended before the application. */
function buildTls({ tls, port }: IngressSpec, path: Path, report: Report): ServerTls | undefined {
  if (tls === undefined) return undefined;
  if (tls.mode === undefined) report([...path, 'tls'], 'has no mode', 'Write "mode: SIMPLE" or "mode: MUTUAL".');
  const protocol = protocolOf(port?.protocol ?? '');
  if (protocol === 'HTTPS' || protocol === 'TLS') return buildServerTls({ tls }, protocol, path, report);
  report([...path, 'tls'], 'the port has no TLS', 'Write protocol HTTPS, or TLS for bytes.');
  return undefined;
}

function buildIngress(spec: IngressSpec, path: Path, report: Report): SidecarIngress {
  const bind = written(spec.bind);
  const defaultEndpoint = written(spec.defaultEndpoint);
  if (spec.port === undefined || spec.port.number === 0)
    report(path, 'an ingress listener needs a port', 'Add "port" with a number and a protocol.');
  if (bind !== undefined && !isIpAddress(bind))
    report([...path, 'bind'], `"${bind}" is not an IP address`, 'Write an address of the host, or leave it out.');
  if (defaultEndpoint !== undefined && !isDefaultEndpoint(defaultEndpoint))
    report(
      [...path, 'defaultEndpoint'],
      `"${defaultEndpoint}" is not where an application of this host can listen`,
      'Write 127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, [::]:<port> or unix:///path.',
    );
  return {
    port: portOf(spec.port ?? { number: 0 }),
    bind,
    captureMode: spec.captureMode ?? 'DEFAULT',
    defaultEndpoint,
    tls: buildTls(spec, path, report),
    connectionPool:
      spec.connectionPool && buildConnectionPool(spec.connectionPool, [...path, 'connectionPool'], report),
  };
}

function hostOf(text: string): SidecarHost {
  const [first = '', host = ''] = text.split('/');
  const excluded = first.length > 1 && first.startsWith('~');
  return { namespace: excluded ? first.slice(1) : first, host, excluded };
}

const SECOND = { code: 'TRY0005', severity: 'warning' } as const;

function buildEgress(spec: EgressSpec, path: Path, report: Report): SidecarEgress {
  const hosts = spec.hosts ?? [];
  if (hosts.length === 0)
    report(path, 'an egress listener needs hosts', 'Add "hosts", such as "./*", or "~/*" for none.');
  for (const [i, text] of hosts.entries()) {
    const all = `${text.split('/')[0] ?? ''}/*`;
    if (hosts.indexOf(text) < i || (text !== all && hosts.includes(all)))
      report([...path, 'hosts', i], `"${text}" is imported already`, 'Remove it.', SECOND);
  }
  if (spec.port?.number === 0)
    report([...path, 'port', 'number'], '0 is the port of a Unix socket, and "bind" names none', 'Write the port.');
  return {
    port: spec.port === undefined ? undefined : portOf(spec.port),
    bind: undefined,
    captureMode: spec.captureMode ?? 'DEFAULT',
    hosts: hosts.map(hostOf),
  };
}

function buildPolicy(
  policy: NonNullable<SidecarSpec['outboundTrafficPolicy']>,
  report: Report,
): NonNullable<Sidecar['outboundTrafficPolicy']> {
  const { mode = 'REGISTRY_ONLY', egressProxy } = policy;
  const path = ['outboundTrafficPolicy'];
  if (mode === 'ALLOW_ANY_DYNAMIC_DNS')
    report([...path, 'mode'], 'ALLOW_ANY_DYNAMIC_DNS is for the whole mesh', 'Set it in meshconfig.yaml.');
  if (egressProxy !== undefined && mode !== 'ALLOW_ANY')
    report([...path, 'egressProxy'], 'an egress proxy needs the mode ALLOW_ANY', 'Write "mode: ALLOW_ANY".');
  if (egressProxy === undefined) return { mode };
  const { host, subset, port } = egressProxy;
  return { mode, egressProxy: { host, subset, port: port?.number } };
}

/** Hosts stay as written but for the namespace: they are completed when the mesh is built, which knows the templates. */
export const sidecarKind = defineKind({
  kind: 'Sidecar',
  apiVersions: NETWORKING_VERSIONS,
  schema: sidecarSchema,
  unsupported: SIDECAR_UNSUPPORTED,
  build(meta, spec, report): Sidecar {
    const { workloadSelector, ingress = [], egress, inboundConnectionPool, outboundTrafficPolicy } = spec;
    const selector = workloadSelector?.labels ?? {};
    if (
      ingress.length === 0 &&
      (egress ?? []).length === 0 &&
      inboundConnectionPool === undefined &&
      outboundTrafficPolicy === undefined
    )
      report(
        [],
        'a Sidecar that says nothing',
        'Add "egress", "ingress", "inboundConnectionPool" or "outboundTrafficPolicy".',
      );
    for (const [i, { port }] of ingress.entries())
      if (port !== undefined && ingress.findIndex((other) => other.port?.number === port.number) < i)
        report(['ingress', i, 'port', 'number'], `port ${port.number} has a listener already`, 'Join the two.');
    for (const [i, { port }] of (egress ?? []).entries()) {
      if (port === undefined && i < (egress ?? []).length - 1)
        report(
          ['egress', i],
          'an egress listener without a port must be the last, and there is one at most',
          'Move it to the end.',
        );
      if (port !== undefined && (egress ?? []).findIndex((other) => other.port?.number === port.number) < i)
        report(['egress', i, 'port', 'number'], `port ${port.number} has a listener already`, 'Join the two.');
    }
    return {
      meta,
      workloadSelector: Object.keys(selector).length === 0 ? undefined : selector,
      ingress: ingress.map((listener, i) => buildIngress(listener, ['ingress', i], report)),
      egress:
        egress === undefined || egress.length === 0
          ? undefined
          : egress.map((listener, i) => buildEgress(listener, ['egress', i], report)),
      inboundConnectionPool:
        inboundConnectionPool && buildConnectionPool(inboundConnectionPool, ['inboundConnectionPool'], report),
      outboundTrafficPolicy: outboundTrafficPolicy && buildPolicy(outboundTrafficPolicy, report),
    };
  },
});
