/** Gateway: what a host in the role of a gateway listens for. VirtualServices say what becomes of it. */
import type { ResourceMeta } from './resource-meta.ts';

export interface Gateway {
  readonly meta: ResourceMeta;
  /** Labels of the gateway workloads that it is for, whatever their namespace; empty: all of them. */
  readonly selector: Readonly<Record<string, string>>;
  readonly servers: readonly GatewayServer[];
}

export type GatewayProtocol = 'HTTP' | 'HTTP2' | 'GRPC' | 'GRPC-WEB' | 'HTTPS' | 'TLS' | 'TCP' | 'MONGO';

export interface GatewayServer {
  readonly name: string | undefined;
  readonly port: { readonly number: number; readonly name: string; readonly protocol: GatewayProtocol };
  /** Address to listen on; undefined: all of the host. */
  readonly bind: string | undefined;
  readonly hosts: readonly GatewayHost[];
  readonly tls: ServerTls | undefined;
}

export interface GatewayHost {
  /** Namespace of the VirtualServices that may serve it; `*` is any. */
  readonly namespace: string;
  /** A name, `*.suffix` or `*`. */
  readonly host: string;
}

export type ServerTlsMode =
  | 'PASSTHROUGH'
  | 'SIMPLE'
  | 'MUTUAL'
  | 'OPTIONAL_MUTUAL'
  | 'ISTIO_MUTUAL'
  | 'AUTO_PASSTHROUGH';
export type TlsVersion = 'TLS_AUTO' | 'TLSV1_0' | 'TLSV1_1' | 'TLSV1_2' | 'TLSV1_3';

/** Paths are files of the gateway's host; credentials are folders there, by name. */
export interface ServerTls {
  /** Undefined: `httpsRedirect` alone, on a plain-text port. */
  readonly mode: ServerTlsMode | undefined;
  readonly httpsRedirect: boolean;
  /** Key pairs as files; one of these and `credentialNames` is empty. */
  readonly certificates: readonly { readonly serverCertificate: string; readonly privateKey: string }[];
  readonly credentialNames: readonly string[];
  readonly caCertificates: string | undefined;
  readonly caCrl: string | undefined;
  readonly caCertCredentialName: string | undefined;
  readonly subjectAltNames: readonly string[];
  readonly verifyCertificateSpki: readonly string[];
  readonly verifyCertificateHash: readonly string[];
  readonly minProtocolVersion: TlsVersion;
  readonly maxProtocolVersion: TlsVersion;
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
}
