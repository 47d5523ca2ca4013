import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseChain } from './chain-choice.ts';

const chain = (name: string, match: Record<string, unknown>): { readonly name: string } & Record<string, never> =>
  ({ name, filter_chain_match: match }) as unknown as { readonly name: string } & Record<string, never>;
const range = (address_prefix: string, prefix_len: number): Record<string, unknown> => ({ address_prefix, prefix_len });

const LISTENER = {
  filter_chains: [
    chain('host', { destination_port: 443, prefix_ranges: [range('10.0.0.1', 32)] }),
    chain('net', { destination_port: 443, prefix_ranges: [range('10.0.0.0', 8)], server_names: ['a.example'] }),
    chain('wildcard', { destination_port: 443, server_names: ['*.example'] }),
    chain('exact', { destination_port: 443, server_names: ['b.example'] }),
    chain('tls', { destination_port: 80, transport_protocol: 'tls' }),
    chain('http', {
      destination_port: 80,
      transport_protocol: 'raw_buffer',
      application_protocols: ['http/1.1', 'h2c'],
    }),
    chain('raw', { destination_port: 80, transport_protocol: 'raw_buffer' }),
  ],
  default_filter_chain: { name: 'default' },
};

function nameOf(address: string, port: number, sni?: string, protocols: readonly string[] = []): unknown {
  return chooseChain(LISTENER, { address, port, sni, isTls: sni !== undefined, protocols })?.['name'];
}

test('chooseChain() goes by port, address, server name, transport and protocol, without a way back', () => {
  assert.equal(nameOf('10.0.0.1', 443, 'a.example'), 'host');
  assert.equal(nameOf('10.0.0.2', 443, 'a.example'), 'net');
  // The address has decided: the chains for all addresses are not looked at any more.
  assert.equal(nameOf('10.0.0.2', 443, 'b.example'), 'default');
  assert.equal(nameOf('192.0.2.1', 443, 'b.example'), 'exact');
  assert.equal(nameOf('192.0.2.1', 443, 'x.example'), 'wildcard');
  assert.equal(nameOf('192.0.2.1', 443, 'example'), 'default');
  assert.equal(nameOf('192.0.2.1', 80, undefined, ['http/1.1']), 'http');
  assert.equal(nameOf('192.0.2.1', 80), 'raw');
  assert.equal(nameOf('192.0.2.1', 80, 'a.example'), 'tls');
  assert.equal(nameOf('192.0.2.1', 81), 'default');
});

test('chooseChain() closes what no chain takes', () => {
  assert.equal(
    chooseChain({ filter_chains: [] }, { address: '10.0.0.1', port: 1, sni: undefined, isTls: false, protocols: [] }),
    undefined,
  );
});
