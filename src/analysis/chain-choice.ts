/**
 * Which filter chain of a listener takes a connection, as Envoy chooses: by destination port, address, server name,
 * transport and application protocol, in this order, without a way back.
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_api/config/listener/v3/listener_components.proto
 */
import { BlockList, isIP } from 'node:net';
import type { JsonObject } from '@bufbuild/protobuf';
import { isObject } from '../envoy-api/resource-json.ts';
import { at, objectsAt, textAt, textsAt } from './json-access.ts';

export interface Connection {
  readonly address: string;
  readonly port: number;
  /** Server name of TLS. */
  readonly sni: string | undefined;
  readonly isTls: boolean;
  /** What an inspector finds: ALPN, or `http/1.1` and `h2c` of plain HTTP. */
  readonly protocols: readonly string[];
}

const family = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** Length of the longest range that has the address; undefined: none has; -1: the chain is for all addresses. */
function rangeLength(chain: JsonObject, address: string): number | undefined {
  const ranges = objectsAt(chain, 'filter_chain_match', 'prefix_ranges');
  if (ranges.length === 0) return -1;
  const lengths = ranges.flatMap((range) => {
    const prefix = textAt(range, 'address_prefix');
    const length = Number(textAt(range, 'prefix_len') || '0');
    if (isIP(prefix) !== isIP(address)) return [];
    const list = new BlockList();
    list.addSubnet(prefix, length, family(prefix));
    return list.check(address, family(address)) ? [length] : [];
  });
  return lengths.length === 0 ? undefined : Math.max(...lengths);
}

/** How closely the chain's server names have the name; undefined: not at all; -1: it is for all. */
function nameLength(chain: JsonObject, sni: string | undefined): number | undefined {
  const names = textsAt(chain, 'filter_chain_match', 'server_names');
  if (names.length === 0) return -1;
  const lengths = names.flatMap((name) => {
    if (sni === undefined) return [];
    if (name === sni) return [Number.POSITIVE_INFINITY];
    return name.startsWith('*.') && sni.endsWith(name.slice(1)) && sni.length >= name.length ? [name.length] : [];
  });
  return lengths.length === 0 ? undefined : Math.max(...lengths);
}

function best(chains: readonly JsonObject[], rank: (chain: JsonObject) => number | undefined): readonly JsonObject[] {
  const ranked = chains.map((chain) => ({ chain, value: rank(chain) }));
  const highest = Math.max(...ranked.map(({ value }) => value ?? Number.NEGATIVE_INFINITY));
  return ranked.filter(({ value }) => value !== undefined && value === highest).map(({ chain }) => chain);
}

/** The chain, or undefined where the listener closes the connection. */
export function chooseChain(listener: JsonObject, connection: Connection): JsonObject | undefined {
  const { address, port, sni, isTls, protocols } = connection;
  const match = (chain: JsonObject, key: string): string => textAt(chain, 'filter_chain_match', key);
  const wanted = isTls ? 'tls' : 'raw_buffer';
  let left = objectsAt(listener, 'filter_chains');
  left = best(left, (chain) =>
    match(chain, 'destination_port') === String(port) ? 1 : match(chain, 'destination_port') === '' ? 0 : undefined,
  );
  left = best(left, (chain) => rangeLength(chain, address));
  left = best(left, (chain) => nameLength(chain, sni));
  left = best(left, (chain) =>
    match(chain, 'transport_protocol') === wanted ? 1 : match(chain, 'transport_protocol') === '' ? 0 : undefined,
  );
  left = best(left, (chain) => {
    const offered = textsAt(chain, 'filter_chain_match', 'application_protocols');
    return offered.length === 0 ? 0 : offered.some((one) => protocols.includes(one)) ? 1 : undefined;
  });
  const last = at(listener, 'default_filter_chain');
  return left[0] ?? (isObject(last) ? last : undefined);
}

/** The filter that ends a chain: its type's last word, and its configuration. */
export function lastFilter(chain: JsonObject): { readonly type: string; readonly config: JsonObject } | undefined {
  const config = objectsAt(chain, 'filters').at(-1)?.['typed_config'];
  return isObject(config) ? { type: textAt(config, '@type').split('.').at(-1) ?? '', config } : undefined;
}
