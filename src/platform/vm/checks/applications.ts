/** Whether the applications listen where agent.yaml says, and only where peers cannot go past Envoy. */
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { type CheckContext, finding, type HostCheck, type Listener, type NeededApplication } from './host-check.ts';
import { count, describeListener, formatAddress, listenersAt, reachable } from './listening.ts';

function judge(
  application: NeededApplication,
  listeners: readonly Listener[],
  { needs }: CheckContext,
): Diagnostic | undefined {
  const { object, port, guarded } = application;
  const where = formatAddress(application);
  const at = listenersAt(listeners, application);
  if (at.length === 0) {
    const elsewhere = listeners.find((listener) => listener.port === port);
    return finding(
      'TRY1105',
      'warning',
      object,
      elsewhere === undefined
        ? `nothing listens on ${where}, where its application should`
        : `nothing listens on ${where}; ${describeListener(elsewhere)} listens on ${formatAddress(elsewhere)}`,
      elsewhere === undefined
        ? 'Start the application, or correct services[].application in agent.yaml.'
        : `Set services[].application to ${formatAddress(elsewhere)} in agent.yaml, or let the application listen on ${where}.`,
    );
  }
  if (at.every(({ pid }) => pid !== undefined && needs.envoyPids.includes(pid)))
    return finding(
      'TRY1105',
      'error',
      object,
      `Envoy itself listens on ${where}, where its application should: requests would go in circles`,
      'Let the application listen on 127.0.0.1 with a port of its own, and name it in services[].application.',
    );
  const open = guarded
    ? at.find((listener) => reachable(listener) && !needs.envoyPids.includes(listener.pid ?? -1))
    : undefined;
  if (open === undefined) return undefined;
  return finding(
    'TRY1106',
    'warning',
    object,
    `BYPASSABLE: ${describeListener(open)} listens on ${formatAddress(open)}, so that other hosts reach the application past Envoy and its policies`,
    `Let the application listen on 127.0.0.1:${port} alone, or close port ${port} in the host's firewall.`,
  );
}

export const APPLICATIONS_CHECK: HostCheck = {
  name: 'applications',
  needsConfiguration: true,
  async run(context) {
    const { applications } = context.needs;
    if (applications.length === 0) return { facts: [], findings: [], skipped: 'no service of agent.yaml has a port' };
    const listeners = await context.io.listeners('tcp');
    const found = applications.map((each) => judge(each, listeners, context));
    const listening = found.filter((each) => each?.code !== 'TRY1105').length;
    return {
      facts: [`${listening} of ${count(applications.length, 'application')} where agent.yaml says`],
      findings: found.filter((each) => each !== undefined),
    };
  },
};
