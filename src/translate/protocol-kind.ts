/** What a port's protocol means for the proxies on both sides. */
import type { Protocol } from '../model/service.ts';

/**
 * - `http`: requests, HTTP/1.1 to the application.
 * - `http2`: requests, HTTP/2 to the application.
 * - `tcp`: bytes.
 * - `auto`: found out per connection; the application gets the protocol that its caller speaks.
 */
export type ProtocolKind = 'http' | 'http2' | 'tcp' | 'auto';

const KINDS: Readonly<Record<Protocol, ProtocolKind>> = {
  HTTP: 'http',
  HTTP2: 'http2',
  GRPC: 'http2',
  'GRPC-WEB': 'http2',
  HTTPS: 'tcp',
  TLS: 'tcp',
  TCP: 'tcp',
  AUTO: 'auto',
};

export function protocolKind(protocol: Protocol): ProtocolKind {
  return KINDS[protocol];
}
