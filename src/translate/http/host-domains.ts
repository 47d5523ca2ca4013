/** The forms in which the Host of a request may name a service, as domains of a virtual host. */

/** Of a name or wildcard: with and without the dot at the end, with and without the port that was called. */
export function nameDomains(name: string, port: number): readonly string[] {
  const plain = name.replace(/\.$/, '').toLowerCase();
  return [plain, `${plain}.`].flatMap((form) => [form, `${form}:${port}`]);
}

/** Of an IP address. */
export function addressDomains(address: string, port: number): readonly string[] {
  const form = address.includes(':') ? `[${address}]` : address;
  return [form, `${form}:${port}`];
}

/** Whatever the Host says. */
export const ANY_DOMAIN: readonly string[] = ['*'];

/** An address of this host, or its name for itself, with and without a port. */
export const LOOPBACK_DOMAINS: readonly string[] = ['127.*', '[::1]', '[::1]:*', 'localhost', 'localhost:*'];
