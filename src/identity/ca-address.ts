/** `host:port` of a CA, IPv6 in brackets. */
import { TrysailError } from '../lib/errors.ts';

export interface CaAddress {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

const DEFAULT_CA_PORT = 15012;

/** Reads `10.0.0.1:15012`, `ca.example`, `[::1]:15012`; the port is 15012 if absent. Throws CA_ADDRESS_INVALID. */
export function parseCaAddress(text: string): CaAddress {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[3] === undefined ? DEFAULT_CA_PORT : Number(match[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port < 1 || port > 65_535) {
    throw new TrysailError('CA_ADDRESS_INVALID', `"${text}" is not the address of a CA`, {
      remedy: 'Write host:port, such as 10.0.0.1:15012 or [2001:db8::1]:15012.',
    });
  }
  return { host, port };
}

/** `host:port`, with brackets around IPv6: what `parseCaAddress` reads. */
export function formatCaAddress({ host, port }: CaAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
