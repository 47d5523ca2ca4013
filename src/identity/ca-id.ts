/** The CA's own name in a trust domain. */

/** By which hosts know the CA's server, whatever address they reach it by. No CSR can obtain it. */
export function caSpiffeId(trustDomain: string): string {
  return `spiffe://${trustDomain}/trysail/ca`;
}
