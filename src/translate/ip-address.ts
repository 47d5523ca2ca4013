/** Whether an endpoint's address is one: Envoy refuses a whole load assignment for a single name in it. */

function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

function countGroups(text: string): number | undefined {
  if (text === '') return 0;
  let groups = 0;
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups++;
    else if (i === parts.length - 1 && isIpv4(part)) groups += 2;
    else return undefined;
  }
  return groups;
}

function isIpv6(text: string): boolean {
  const [head = '', tail, ...rest] = text.split('::');
  if (rest.length > 0) return false;
  const first = countGroups(head);
  if (first === undefined) return false;
  if (tail === undefined) return first === 8;
  const second = countGroups(tail);
  return second !== undefined && first + second <= 7 && !head.includes('.');
}

/** IPv4 in dotted decimals without leading zeros, or IPv6 without a zone. */
export function isIpAddress(text: string): boolean {
  return text.includes(':') ? isIpv6(text) : isIpv4(text);
}

/** Whether packets to the address cannot leave the host. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (address.startsWith('127.') && isIpv4(address));
}
