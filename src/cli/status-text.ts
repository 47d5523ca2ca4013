/** `trysail status` for people: first whether all is well, then what is not, then everything else in aligned columns. */

import type { CertificateStatus, HealthStatus, MeshConfigStatus, Status } from '../api/status.ts';
import type { Problem } from '../api/status-problems.ts';
import { formatDuration } from '../lib/duration.ts';
import { alignColumns, printable } from './output.ts';

/** How emphasised text is written; the identity where there are no colours. */
export interface Style {
  good(text: string): string;
  bad(text: string): string;
  doubtful(text: string): string;
  faint(text: string): string;
  heading(text: string): string;
}

const plain = (text: string): string => text;
export const PLAIN_STYLE: Style = { good: plain, bad: plain, doubtful: plain, faint: plain, heading: plain };

const colour =
  (code: number) =>
  (text: string): string =>
    `\u001b[${code}m${text}\u001b[0m`;
export const COLOUR_STYLE: Style = {
  good: colour(32),
  bad: colour(31),
  doubtful: colour(33),
  faint: colour(2),
  heading: colour(1),
};

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

function ago(timestamp: string | undefined, nowMs: number): string {
  return timestamp === undefined ? '' : formatDuration(Math.max(0, nowMs - Date.parse(timestamp)));
}

function until(timestamp: string | undefined, nowMs: number): string {
  if (timestamp === undefined) return '-';
  const ms = Date.parse(timestamp) - nowMs;
  return ms >= 0 ? `in ${formatDuration(ms)}` : `${formatDuration(-ms)} ago`;
}

function verdict(status: Status, problems: readonly Problem[], style: Style): readonly string[] {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const warnings = problems.length - errors.length;
  const name = status.host.name;
  const first =
    errors.length > 0
      ? style.bad(
          `${name} is not well: ${count(errors.length, 'error')}${warnings > 0 ? `, ${count(warnings, 'warning')}` : ''}.`,
        )
      : warnings > 0
        ? style.doubtful(`${name} is well, with ${count(warnings, 'warning')}.`)
        : style.good(`${name} is well.`);
  return [
    first,
    ...problems.map(({ severity, text }) =>
      severity === 'error'
        ? `  ${style.bad('error')}    ${printable(text)}`
        : `  ${style.doubtful('warning')}  ${printable(text)}`,
    ),
  ];
}

function meshConfigText({ file = 'defaults', resource }: MeshConfigStatus): string {
  if (resource === undefined) return printable(file);
  return printable(`${file}, but ${resource.fields.join(', ') || 'no field'} of ${resource.source}`);
}

function facts(status: Status, nowMs: number): readonly string[] {
  const { agent, host, consul, envoy, meshConfig } = status;
  const parts = (...texts: readonly (string | false | undefined)[]): string =>
    texts.filter((text): text is string => typeof text === 'string' && text !== '').join(', ');
  return alignColumns([
    [
      'Agent',
      parts(
        agent.version,
        `pid ${agent.pid}`,
        agent.state,
        `for ${ago(agent.since, nowMs)}`,
        agent.lastGood && 'last good configuration from disk',
      ),
    ],
    ['Host', parts(host.name, host.address, host.locality, `trust domain ${host.trustDomain}`)],
    ...(meshConfig === undefined ? [] : [['Mesh', meshConfigText(meshConfig)]]),
    [
      'Envoy',
      parts(
        envoy.version,
        envoy.pid !== undefined && `pid ${envoy.pid}`,
        envoy.epoch !== undefined && `epoch ${envoy.epoch}`,
        envoy.ready ? 'ready' : envoy.state === 'running' ? 'not ready' : envoy.state,
        envoy.since !== undefined && `for ${ago(envoy.since, nowMs)}`,
        envoy.restarts > 0 && count(envoy.restarts, 'restart'),
      ),
    ],
    [
      'Consul',
      consul === undefined
        ? 'not used (registry: files)'
        : parts(
            consul.address,
            consul.connected ? 'connected' : 'not connected',
            consul.lastContact !== undefined && `last contact ${ago(consul.lastContact, nowMs)} ago`,
            count(consul.watches, 'watch').replace('watchs', 'watches'),
          ),
    ],
  ]);
}

function health({ state, since }: HealthStatus, nowMs: number): string {
  return since === undefined ? state : `${state} ${ago(since, nowMs)}`;
}

function table(style: Style, heading: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  if (rows.length === 0) return [];
  const [first = '', ...rest] = alignColumns([heading, ...rows.map((row) => row.map(printable))]);
  return ['', style.heading(first), ...rest];
}

function certificateRow(certificate: CertificateStatus, nowMs: number): readonly string[] {
  return [
    certificate.spiffeId,
    certificate.serial ?? '-',
    until(certificate.notAfter, nowMs),
    until(certificate.nextRenewal, nowMs),
  ];
}

/** The whole report, ending in a line break. */
export function statusText(status: Status, problems: readonly Problem[], nowMs: number, style: Style): string {
  const { certificates } = status;
  const lines = [
    ...verdict(status, problems, style),
    '',
    ...facts(status, nowMs),
    ...table(
      style,
      ['SERVICE', 'VERSION', 'PORT', 'MODE', 'REGISTERED', 'APPLICATION', 'PROXY', 'IDENTITY'],
      status.services.map((service) => [
        `${service.namespace}/${service.name}`,
        service.version ?? '-',
        service.port === undefined ? '-' : String(service.port),
        (service.bypassable ?? []).length > 0 ? `${service.mode} BYPASSABLE` : service.mode,
        service.registered === undefined ? '-' : service.registered ? 'yes' : 'no',
        health(service.application, nowMs),
        service.mode === 'off' || service.mode === 'outbound' ? '-' : health(service.proxy, nowMs),
        service.identity ?? '-',
      ]),
    ),
    ...table(
      style,
      ['UPSTREAM', 'PORT', 'LISTEN', 'HEALTHY', 'TLS'],
      status.upstreams.map(({ service, port, listen, endpoints, tls }) => [
        service,
        port === undefined ? '-' : String(port),
        listen,
        `${endpoints.healthy}/${endpoints.total}`,
        tls,
      ]),
    ),
    ...table(
      style,
      ['LEARNT', 'LAST USED'],
      (status.learnt ?? []).map(({ service, lastUsed }) => [service, `${ago(lastUsed, nowMs)} ago`]),
    ),
    ...table(
      style,
      ['FLEET NAMESPACE', 'REVISION', 'PUBLISHED', 'PUBLISHER', 'CURRENT'],
      (status.fleet?.namespaces ?? [])
        .filter(({ revision }) => revision !== undefined)
        .map(({ namespace, revision, publishedAt, publisher, current, step, takesPart }) => [
          namespace,
          String(revision),
          publishedAt === undefined ? '-' : `${ago(publishedAt, nowMs)} ago`,
          publisher ?? '-',
          `${current ? 'yes' : 'no'}${step === undefined ? '' : `; step ${step}${takesPart === true ? '' : ', not here yet'}`}`,
        ]),
    ),
    ...table(
      style,
      ['GATEWAY', 'PORT', 'LISTEN', 'TLS', 'HOSTS', 'VIRTUAL SERVICES', 'SERVING'],
      (status.gateways ?? []).map(({ gateway, port, protocol, listen, tls, hosts, virtualServices, serving }) => [
        gateway,
        `${port} ${protocol}`,
        listen,
        tls ?? '-',
        hosts.join(','),
        virtualServices.length === 0 ? '-' : virtualServices.join(','),
        serving ? 'yes' : 'no',
      ]),
    ),
    ...table(
      style,
      ['XDS', 'SENT', 'ACKNOWLEDGED', 'IN FLIGHT', 'REJECTED'],
      status.xds.map(({ type, sent, acknowledged, inFlight, rejected }) => [
        type,
        String(sent),
        String(acknowledged),
        String(inFlight),
        String(rejected.length),
      ]),
    ),
    ...table(
      style,
      ['CERTIFICATE', 'SERIAL', 'EXPIRES', 'RENEWAL'],
      [...certificates.workloads, ...(certificates.host === undefined ? [] : [certificates.host])].map((certificate) =>
        certificateRow(certificate, nowMs),
      ),
    ),
    ...table(
      style,
      ['ROOT', 'SHA-256', 'EXPIRES'],
      certificates.roots.map(({ subject, sha256, notAfter }) => [subject, sha256.slice(0, 16), until(notAfter, nowMs)]),
    ),
    ...table(
      style,
      ['PLAIN TEXT', 'WHAT', 'WHY'],
      status.plainText.map(({ direction, what, why }) => [direction, what, why]),
    ),
  ];
  return `${lines.join('\n')}\n`;
}
