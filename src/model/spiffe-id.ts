/**
 * SPIFFE identities in Istio's form, `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`, and those of hosts,
 * `spiffe://<trust domain>/host/<name>`, which are good for asking the CA and for nothing else.
 * https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
 */

declare const brand: unique symbol;
/** A well-formed SPIFFE id. Made by the functions of this file alone. */
export type SpiffeId = string & { readonly [brand]: 'SpiffeId' };

export interface WorkloadIdentity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;
/** Longest id that every SPIFFE implementation has to take, in bytes. */
const MAX_LENGTH = 2048;

function isSegment(text: string): boolean {
  return SEGMENT.test(text) && text !== '.' && text !== '..';
}

/** The id of a workload, or undefined if a part has characters that SPIFFE does not allow. */
export function workloadSpiffeId(identity: WorkloadIdentity): SpiffeId | undefined {
  const { trustDomain, namespace, serviceAccount } = identity;
  if (!TRUST_DOMAIN.test(trustDomain) || !isSegment(namespace) || !isSegment(serviceAccount)) return undefined;
  const id = `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
  return id.length <= MAX_LENGTH ? (id as SpiffeId) : undefined;
}

/** The id of a host's own credential, or undefined if a part has characters that SPIFFE does not allow. */
export function hostSpiffeId(trustDomain: string, host: string): SpiffeId | undefined {
  return TRUST_DOMAIN.test(trustDomain) && isSegment(host)
    ? (`spiffe://${trustDomain}/host/${host}` as SpiffeId)
    : undefined;
}

/** Namespace and service account of a workload's id; undefined for anything else, ids of hosts included. */
export function parseWorkloadSpiffeId(text: string): WorkloadIdentity | undefined {
  const match = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(text);
  if (match === null) return undefined;
  const [, trustDomain = '', namespace = '', serviceAccount = ''] = match;
  const identity = { trustDomain, namespace, serviceAccount };
  return workloadSpiffeId(identity) === text ? identity : undefined;
}

/** The host's name in a host credential's id; undefined for anything else. */
export function parseHostSpiffeId(text: string): { readonly trustDomain: string; readonly host: string } | undefined {
  const match = /^spiffe:\/\/([^/]+)\/host\/([^/]+)$/.exec(text);
  const [, trustDomain = '', host = ''] = match ?? [];
  return hostSpiffeId(trustDomain, host) === text ? { trustDomain, host } : undefined;
}
