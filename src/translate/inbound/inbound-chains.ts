/** Filter chains of an inbound listener by mTLS mode and protocol; the table is in the room's README. */
import type { MtlsMode } from '../../model/peer-authentication.ts';
import { PLAIN_HTTP1, PLAIN_HTTP2 } from '../listeners/listener.ts';
import type { ProtocolKind } from '../protocol-kind.ts';
import { CHOOSE_HTTP, CHOOSE_HTTP1, CHOOSE_HTTP2, CHOOSE_TCP, MESH_HTTP1, MESH_HTTP2, MESH_TCP } from '../tls/alpn.ts';

export interface ChainPlan {
  readonly name: string;
  /** What the inspectors must have seen; both empty: anything. */
  readonly match: { readonly transport?: 'tls' | 'raw_buffer'; readonly alpn?: readonly string[] };
  /** Undefined: the bytes are taken as they are; else mutual TLS is ended here, choosing from these protocols. */
  readonly mutualTls: readonly string[] | undefined;
  /** TLS of the port's own certificates is ended here. */
  readonly ownTls?: true;
  readonly carries: 'http' | 'tcp';
}

export interface InboundPlan {
  readonly chains: readonly ChainPlan[];
  readonly inspect: { readonly tls: boolean; readonly http: boolean };
}

const MESH = [...MESH_HTTP1, ...MESH_HTTP2, ...MESH_TCP];
const PLAIN_HTTP = [...PLAIN_HTTP1, ...PLAIN_HTTP2];

const mutualHttp = (match: ChainPlan['match']): ChainPlan => ({
  name: 'mtls-http',
  match,
  mutualTls: CHOOSE_HTTP,
  carries: 'http',
});
/** One chain a version: what the peer speaks is what the application must get, so HTTP/2 is chosen only where the caller spoke it. */
const PRESERVING_MUTUAL_HTTP: readonly ChainPlan[] = [
  { name: 'mtls-http1', match: { transport: 'tls', alpn: MESH_HTTP1 }, mutualTls: CHOOSE_HTTP1, carries: 'http' },
  { name: 'mtls-http2', match: { transport: 'tls', alpn: MESH_HTTP2 }, mutualTls: CHOOSE_HTTP2, carries: 'http' },
];
const mutualTcp = (match: ChainPlan['match']): ChainPlan => ({
  name: 'mtls-tcp',
  match,
  mutualTls: CHOOSE_TCP,
  carries: 'tcp',
});
const plainHttp = (match: ChainPlan['match']): ChainPlan => ({
  name: 'http',
  match,
  mutualTls: undefined,
  carries: 'http',
});
const plainTcp = (match: ChainPlan['match']): ChainPlan => ({
  name: 'tcp',
  match,
  mutualTls: undefined,
  carries: 'tcp',
});
const APPLICATION_TLS: ChainPlan = {
  name: 'application-tls',
  match: { transport: 'tls' },
  mutualTls: undefined,
  carries: 'tcp',
};

/** STRICT ends any TLS itself; whoever has no certificate of the mesh fails the handshake. */
const ANY_TLS: ChainPlan = { ...mutualTcp({ transport: 'tls' }), name: 'any-tls' };

const NO_INSPECTION = { tls: false, http: false };
const PERMISSIVE_HTTP: InboundPlan = {
  chains: [mutualHttp({ transport: 'tls', alpn: MESH }), plainHttp({ transport: 'raw_buffer' })],
  inspect: { tls: true, http: false },
};
const STRICT_HTTP: InboundPlan = {
  chains: [mutualHttp({ transport: 'tls', alpn: MESH }), { ...mutualHttp({ transport: 'tls' }), name: 'any-tls' }],
  inspect: { tls: true, http: false },
};
const DISABLE_HTTP: InboundPlan = { chains: [plainHttp({})], inspect: NO_INSPECTION };

/**
 * Without an inspector for TLS, as with DISABLE, an application's own TLS counts as bytes and passes. STRICT has the
 * mutual chains and the inspectors of PERMISSIVE: Envoy then keeps their connections when a port goes from one to the
 * other.
 */
const PLANS: Readonly<Record<MtlsMode, Readonly<Record<ProtocolKind, InboundPlan>>>> = {
  PERMISSIVE: {
    http: PERMISSIVE_HTTP,
    http2: PERMISSIVE_HTTP,
    tcp: {
      chains: [mutualTcp({ transport: 'tls', alpn: MESH }), APPLICATION_TLS, plainTcp({ transport: 'raw_buffer' })],
      inspect: { tls: true, http: false },
    },
    auto: {
      chains: [
        ...PRESERVING_MUTUAL_HTTP,
        plainHttp({ transport: 'raw_buffer', alpn: PLAIN_HTTP }),
        mutualTcp({ transport: 'tls', alpn: MESH_TCP }),
        APPLICATION_TLS,
        plainTcp({ transport: 'raw_buffer' }),
      ],
      inspect: { tls: true, http: true },
    },
  },
  STRICT: {
    http: STRICT_HTTP,
    http2: STRICT_HTTP,
    tcp: {
      chains: [mutualTcp({ transport: 'tls', alpn: MESH }), ANY_TLS],
      inspect: { tls: true, http: false },
    },
    auto: {
      chains: [...PRESERVING_MUTUAL_HTTP, mutualTcp({ transport: 'tls', alpn: MESH_TCP }), ANY_TLS],
      inspect: { tls: true, http: true },
    },
  },
  DISABLE: {
    http: DISABLE_HTTP,
    http2: DISABLE_HTTP,
    tcp: { chains: [plainTcp({})], inspect: NO_INSPECTION },
    auto: { chains: [plainHttp({ alpn: PLAIN_HTTP }), plainTcp({})], inspect: { tls: false, http: true } },
  },
};

/** A port with certificates of its own takes nothing else. */
export function ownTlsPlan(carries: ChainPlan['carries']): InboundPlan {
  return {
    chains: [{ name: 'own-tls', match: {}, mutualTls: undefined, ownTls: true, carries }],
    inspect: NO_INSPECTION,
  };
}

export function inboundPlan(mode: MtlsMode, kind: ProtocolKind): InboundPlan {
  return PLANS[mode][kind];
}
