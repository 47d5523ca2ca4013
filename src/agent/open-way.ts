/** Whether peers would find a service where they are told to go. */
import { connect } from 'node:net';
import { ListeningPorts } from '../envoy/port-owner.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host, SocketAddress, Workload } from '../model/host.ts';
import { PORTS } from '../platform/vm/ports.ts';
import { serviceKey, wayOf, workloadKey } from './inbound-ways.ts';
import type { AgentSettings } from './settings.ts';

/** For a look whether an application listens. */
const CONNECT_TIMEOUT_MS = 1000;

/** A service (`namespace/name`) stays registered as before. */
export function notOpenYet(key: string): Diagnostic {
  return {
    code: 'TRY0105',
    severity: 'warning',
    object: `service ${key}`,
    message: 'it stays registered as before: where peers are to go from now on, nobody listens yet',
    remedy:
      'See that its application runs, in modes off and outbound at the address of application, and that Envoy does.',
  };
}

/** Whether a TCP connection is taken, within a second. Never rejects. */
async function connects({ address, port }: SocketAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: CONNECT_TIMEOUT_MS });
    const end = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

/** Whether connections of peers would be taken where they are to go. Never rejects. */
export async function isOpenWay(
  workload: Workload,
  settings: AgentSettings,
  envoy: { readonly served: Host; readonly isSettled: () => Promise<boolean> },
): Promise<boolean> {
  const { inbound } = workload;
  if (inbound === undefined) {
    const service = settings.services.find((one) => serviceKey(one) === workloadKey(workload));
    return service?.inbound === undefined || connects(service.inbound.application);
  }
  const isServed = envoy.served.workloads.some((one) => wayOf(one) === wayOf(workload));
  if (!isServed || !(await envoy.isSettled())) return false;
  const { address, port } =
    inbound.capture === undefined ? inbound.listen : { address: '127.0.0.1', port: PORTS.inboundCapture };
  return (await ListeningPorts.lookAside()).owner(address, port) !== undefined;
}
