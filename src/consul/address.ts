/** Where Consul listens, as users write it: `http://host:port`, `https://host:port` or `unix:///path`. */
import { isIP } from 'node:net';
import { TrysailError } from '../lib/errors.ts';

export type ConsulAddress =
  | { readonly kind: 'unix'; readonly text: string; readonly path: string }
  | { readonly kind: 'http' | 'https'; readonly text: string; readonly host: string; readonly port: number };

const REMEDY = 'Write http://HOST:8500, https://HOST:8501 or unix:///PATH/TO/SOCKET.';

function refuse(text: string, why: string): TrysailError {
  return new TrysailError('CONSUL_ADDRESS_INVALID', `Consul address "${text}": ${why}.`, { remedy: REMEDY });
}

/**
 * Reads a Consul address. The port defaults to 8500, with https to 8501.
 * @throws TrysailError `CONSUL_ADDRESS_INVALID` for another scheme, a path, credentials or a missing host
 */
export function parseConsulAddress(text: string): ConsulAddress {
  if (text.startsWith('unix://')) {
    const path = text.slice('unix://'.length);
    if (!path.startsWith('/') || path === '/') throw refuse(text, 'a Unix socket needs an absolute path');
    return { kind: 'unix', text, path };
  }
  const url = URL.parse(text);
  if (url === null) throw refuse(text, 'not a URL');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refuse(text, `unknown scheme "${url.protocol}"`);
  if (url.hostname === '') throw refuse(text, 'the host is missing');
  if (url.username !== '' || url.password !== '')
    throw refuse(text.replace(/\/\/.*@/, '//…@'), 'credentials do not belong into the address');
  if ((url.pathname !== '/' && url.pathname !== '') || url.search !== '')
    throw refuse(text, 'a path or query is not supported');
  const kind = url.protocol === 'https:' ? 'https' : 'http';
  const standard = kind === 'https' ? 8501 : 8500;
  // URL drops the scheme's own port, so ":80" and no port look the same in `url.port`.
  const explicit = /:(\d+)\/?$/.exec(text)?.[1];
  return {
    kind,
    text: text.replace(/\/$/, ''),
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: explicit === undefined ? standard : Number(explicit),
  };
}

/** Whether bytes to Consul never leave this host, so that compressing them only costs time. */
export function isLocalAddress(address: ConsulAddress): boolean {
  if (address.kind === 'unix') return true;
  const { host } = address;
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
