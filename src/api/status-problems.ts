/** What is not well in a `Status`, as sentences: what `trysail status` says first and what its exit code follows. */
import type { Severity } from '../model/diagnostic.ts';
import { formatDiagnostic } from '../model/diagnostic.ts';
import type { CertificateStatus, HealthStatus, ServiceStatus, Status } from './status.ts';

export interface Problem {
  /** An error makes the host unhealthy; a warning does not. */
  readonly severity: Exclude<Severity, 'info'>;
  readonly text: string;
}

const error = (text: string): Problem => ({ severity: 'error', text });
const warning = (text: string): Problem => ({ severity: 'warning', text });

function healthProblems(what: string, health: HealthStatus): readonly Problem[] {
  if (health.state === 'passing') return [];
  const [output = ''] = (health.output ?? '').split('\n');
  const text = `${what} is ${health.state === 'warning' ? 'passing with a warning' : health.state}${output === '' ? '' : `: ${output}`}`;
  return [health.state === 'critical' ? error(text) : warning(text)];
}

/** Whether peers reach it through Envoy. */
function isProxied({ mode }: ServiceStatus): boolean {
  return mode === 'observe' || mode === 'full';
}

function serviceProblems(service: ServiceStatus): readonly Problem[] {
  const name = `${service.namespace}/${service.name}`;
  if (service.registered === false) {
    const why = service.registrationError === undefined ? '' : `: ${service.registrationError}`;
    return [error(`service ${name} is not registered in Consul${why}`)];
  }
  // Without a registry nobody checks, and that nobody checked is no problem.
  if (service.registered === undefined && service.application.state === 'unknown')
    return isProxied(service) ? healthProblems(`the proxy of ${name}`, service.proxy) : [];
  return [
    ...healthProblems(`the application of ${name}`, service.application),
    ...(isProxied(service) ? healthProblems(`the proxy of ${name}`, service.proxy) : []),
  ];
}

function bypassProblems({ namespace, name, mode, bypassable = [] }: ServiceStatus): readonly Problem[] {
  if (bypassable.length === 0) return [];
  const what = mode === 'full' ? ', where no policy of the mesh holds' : '';
  return [
    warning(
      `BYPASSABLE: others reach the application of ${namespace}/${name} past the proxy at ${bypassable.join(', ')}${what}. Let it listen on 127.0.0.1, or capture its port.`,
    ),
  ];
}

function certificateProblems(certificate: CertificateStatus, nowMs: number): readonly Problem[] {
  const { spiffeId, notAfter, error: why } = certificate;
  if (notAfter === undefined) return [error(`no certificate for ${spiffeId}${why === undefined ? '' : `: ${why}`}`)];
  if (Date.parse(notAfter) <= nowMs)
    return [error(`the certificate of ${spiffeId} expired at ${notAfter}${why === undefined ? '' : `: ${why}`}`)];
  return why === undefined ? [] : [warning(`the certificate of ${spiffeId} could not be renewed: ${why}`)];
}

/** Errors first, each with its cause where one is known. */
export function statusProblems(status: Status, nowMs: number): readonly Problem[] {
  const { agent, consul, envoy, certificates } = status;
  const problems: readonly Problem[] = [
    ...(agent.state === 'running' ? [] : [warning(`the agent is ${agent.state}`)]),
    ...(agent.lastGood
      ? [warning('the configuration is the last good one from disk: no source has answered yet')]
      : []),
    ...(envoy.ready
      ? []
      : [
          error(
            `Envoy is ${envoy.state === 'running' ? 'not ready' : envoy.state}${envoy.error === undefined ? '' : `: ${envoy.error}`}`,
          ),
        ]),
    ...(consul === undefined || consul.connected
      ? []
      : [
          error(
            `Consul at ${consul.address} is not reachable${consul.errors[0] === undefined ? '' : `: ${consul.errors[0]}`}`,
          ),
        ]),
    ...(consul?.connected === true ? consul.errors.map((text) => warning(`Consul: ${text}`)) : []),
    ...status.services.flatMap(serviceProblems),
    ...status.services.flatMap(bypassProblems),
    ...[...certificates.workloads, ...(certificates.host === undefined ? [] : [certificates.host])].flatMap(
      (certificate) => certificateProblems(certificate, nowMs),
    ),
    ...status.xds.flatMap(({ type, rejected }) =>
      rejected.map(({ name, why }) => error(`Envoy refused ${type} ${name}: ${why}`)),
    ),
    ...status.upstreams.flatMap(({ service, endpoints: { healthy, total } }) =>
      healthy > 0
        ? []
        : [error(`upstream ${service} has no ${total === 0 ? 'endpoint' : `healthy endpoint of ${total}`}`)],
    ),
    ...status.diagnostics.flatMap((diagnostic) =>
      diagnostic.severity === 'info'
        ? []
        : [
            {
              severity: diagnostic.severity,
              text: formatDiagnostic(diagnostic).replace(`${diagnostic.severity} `, ''),
            },
          ],
    ),
  ];
  return [
    ...problems.filter(({ severity }) => severity === 'error'),
    ...problems.filter(({ severity }) => severity === 'warning'),
  ];
}
