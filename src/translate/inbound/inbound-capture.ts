/** The listener at which captured connections to this host's applications arrive, as Istio's `virtualInbound`. */
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { Resource } from '../../xds/resource.ts';
import type { AccessLog } from '../listeners/access-log.ts';
import { captureListener } from '../listeners/listener.ts';
import {
  HTTP_INSPECTOR,
  ORIGINAL_DESTINATION,
  ORIGINAL_SOURCE,
  onPorts,
  TLS_INSPECTOR,
} from '../listeners/listener-filters.ts';
import { type CapturedChains, inspectedPorts } from '../outbound/captured-chains.ts';

export const INBOUND_CAPTURE = 'virtualInbound';

export interface InboundCaptureSpec {
  readonly port: number;
  readonly withoutIpv6: boolean;
  /** By port; no two of them are for the same one. */
  readonly captured: readonly CapturedChains[];
  /** Ports on which applications see their callers' addresses. */
  readonly keepsCaller: readonly number[];
  readonly accessLog: AccessLog | undefined;
  /** For how long a caller that says nothing may keep the protocol open; absent: for ever. */
  readonly detectionTimeoutMs?: MeshConfig['protocolDetectionTimeoutMs'];
}

/** Connections to captured ports by their rules; all others, such as those to the listener itself, are closed. */
export function inboundCaptureListener(spec: InboundCaptureSpec): Resource {
  const { port, withoutIpv6, captured, keepsCaller, detectionTimeoutMs, accessLog } = spec;
  return captureListener({
    name: INBOUND_CAPTURE,
    addresses: (withoutIpv6 ? ['0.0.0.0'] : ['0.0.0.0', '::']).map((address) => ({ address, port })),
    direction: 'inbound',
    accessLog,
    filterChains: captured.flatMap(({ filterChains }) => filterChains),
    listenerFilters: [
      ORIGINAL_DESTINATION,
      ...onPorts(ORIGINAL_SOURCE, keepsCaller),
      ...onPorts(TLS_INSPECTOR, inspectedPorts(captured, 'tls')),
      ...onPorts(HTTP_INSPECTOR, inspectedPorts(captured, 'http')),
    ],
    detectionTimeoutMs,
    transparent: keepsCaller.length > 0,
    freebind: false,
  });
}
