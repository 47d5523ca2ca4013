/**
 * Application protocols that mesh clients offer and mesh listeners look for. Istio's names come first in an offer: they
 * tell the peer's listener that this is mesh TLS (and whether it carries HTTP), where an application's own TLS never
 * offers them. The peer answers with one of the standard names, which decides the codec.
 */
export const MESH_HTTP1 = ['istio-http/1.0', 'istio-http/1.1'] as const;
export const MESH_HTTP2 = ['istio-h2'] as const;
export const MESH_TCP = ['istio-peer-exchange', 'istio'] as const;

/** HTTP in whichever version the peer prefers. */
export const OFFER_HTTP = ['istio-http/1.1', 'istio', 'h2', 'http/1.1'] as const;
export const OFFER_HTTP1 = ['istio-http/1.1', 'istio', 'http/1.1'] as const;
export const OFFER_HTTP2 = ['istio-h2', 'istio', 'h2'] as const;
export const OFFER_TCP = ['istio'] as const;

/** What mesh listeners choose from, best first. */
export const CHOOSE_HTTP = ['h2', 'http/1.1'] as const;
export const CHOOSE_HTTP1 = ['http/1.1'] as const;
export const CHOOSE_HTTP2 = ['h2'] as const;
export const CHOOSE_TCP = ['istio-peer-exchange', 'istio', 'h2', 'http/1.1'] as const;
