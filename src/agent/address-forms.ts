/** The forms of settings that are addresses, and what kind of address one is. */
import { isIP } from 'node:net';
import { normalizeIp, parseIp } from 'ip-bigint';
import type { SocketAddress, SocketPath } from '../model/host.ts';
import { type Form, PORT } from './setting-forms.ts';

/** An IP address of this machine that others can dial. */
export const IP_ADDRESS: Form<string> = {
  noun: 'an IP address that peers can dial',
  example: '10.0.0.5',
  parse: (input) => (typeof input === 'string' && isIP(input) !== 0 && !isWildcard(input) ? input : undefined),
};

/** An IP address of this machine, or all of them. */
export const BIND_ADDRESS: Form<string> = {
  noun: 'an IP address of this host (0.0.0.0 or :: for all of them)',
  example: '0.0.0.0',
  parse: (input) => (typeof input === 'string' && isIP(input) !== 0 && !input.includes('%') ? input : undefined),
};

/** In one spelling, IPv4 in mapped form as IPv4; what is no IP address as it is. */
const canonical = (address: string): string =>
  isIP(address) === 0 ? address : normalizeIp(address, { validate: false, mapv4: true });

/** Whether it stands for all of a machine's addresses. */
export function isWildcard(address: string): boolean {
  return ['0.0.0.0', '::'].includes(canonical(address));
}

/** Whether only this machine can reach it. */
export function isLoopback(address: string): boolean {
  return isIP(address) !== 0 && /^(?:127\.|::1$)/.test(canonical(address));
}

function splitHostPort(input: unknown): { readonly host: string; readonly port: number } | undefined {
  if (typeof input !== 'string') return undefined;
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(input);
  const port = PORT.parse(Number(match?.[3]));
  if (match === null || port === undefined) return undefined;
  if (match[1] !== undefined && isIP(match[1]) !== 6) return undefined;
  return { host: match[1] ?? match[2] ?? '', port };
}

/** `IP:port`, with brackets around IPv6. */
export const SOCKET_ADDRESS: Form<SocketAddress> = {
  noun: 'an IP address and a port',
  example: '127.0.0.1:9080',
  parse: (input) => {
    const split = splitHostPort(input);
    return split === undefined || isIP(split.host) === 0 ? undefined : { address: split.host, port: split.port };
  },
};

/** `IP:port`, or `unix:` and an absolute path without `..`. */
export const LISTEN_ADDRESS: Form<SocketAddress | SocketPath> = {
  noun: 'an IP address and a port, or unix: and an absolute path',
  example: '127.0.0.1:9080',
  parse: (input) => {
    if (typeof input !== 'string' || !input.startsWith('unix:')) return SOCKET_ADDRESS.parse(input);
    const path = input.slice('unix:'.length);
    return /^(?:\/(?!\.{1,2}(?:\/|$))[^/\0]+)+$/.test(path) ? { path } : undefined;
  },
};

/** An IP address, or a range of them as `address/length` without bits after the length. */
export const ADDRESS_RANGE: Form<string> = {
  noun: 'an IP address or a range of them (address/length, with no bit set after the length)',
  example: '10.0.0.0/8',
  parse: (input) => {
    if (typeof input !== 'string') return undefined;
    const [address = '', length, ...rest] = input.split('/');
    const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : undefined;
    if (bits === undefined || rest.length > 0 || /%|:.*\./.test(address)) return undefined;
    if (length === undefined) return input;
    if (!/^\d{1,3}$/.test(length) || Number(length) > bits) return undefined;
    return hasOnlyPrefix(address, Number(length)) ? input : undefined;
  },
};

function hasOnlyPrefix(address: string, length: number): boolean {
  const { number, version } = parseIp(address, { validate: false });
  return BigInt.asUintN((version === 4 ? 32 : 128) - length, number) === 0n;
}

/** `host:port` of a server; the host may be a name. */
export const HOST_PORT: Form<string> = {
  noun: 'a host and a port',
  example: 'ca.example.com:15012',
  parse: (input) => {
    const split = splitHostPort(input);
    return split !== undefined && /^[A-Za-z0-9.:_-]+$/.test(split.host) ? String(input) : undefined;
  },
};

/** `http://host:port`, `https://host:port` or `unix:///path`; never with a user name, a password or a path. */
export const CONSUL_ADDRESS: Form<string> = {
  noun: 'an address of Consul (http://host:port, https://host:port or unix:///path)',
  example: 'http://127.0.0.1:8500',
  parse: (input) => {
    if (typeof input !== 'string') return undefined;
    if (/^unix:\/\/\/[^\0?#]+$/.test(input)) return input;
    const url = URL.parse(input);
    if (url === null || !/^https?:\/\//.test(input) || url.username !== '' || url.password !== '') return undefined;
    return url.pathname === '/' && url.search === '' && url.hash === '' ? input.replace(/\/$/, '') : undefined;
  },
};
