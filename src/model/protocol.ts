/** The protocols of a port, by the names that users write. */
import type { Protocol } from './service.ts';

/** Istio's protocol names in capitals. Those of databases are opaque TCP to us. */
export const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  HTTP: 'HTTP',
  HTTP2: 'HTTP2',
  GRPC: 'GRPC',
  'GRPC-WEB': 'GRPC-WEB',
  HTTPS: 'HTTPS',
  TLS: 'TLS',
  TCP: 'TCP',
  MONGO: 'TCP',
  REDIS: 'TCP',
  MYSQL: 'TCP',
};

/** The protocol that an Istio name in any case stands for; undefined for a name that is not supported. */
export function protocolOf(name: string): Protocol | undefined {
  return Object.hasOwn(PROTOCOLS, name.toUpperCase()) ? PROTOCOLS[name.toUpperCase()] : undefined;
}
