import assert from 'node:assert/strict';
import type { NetworkInterfaceInfo } from 'node:os';
import { test } from 'node:test';
import {
  addressOfDefaultRoute,
  hostName,
  ipv4DefaultDevice,
  ipv6DefaultDevice,
  type NetworkFacts,
} from './host-address.ts';

const HEADER = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n';
const IPV4 = `${HEADER}eth1\t00000000\t0100000A\t0003\t0\t0\t200\t00000000\t0\t0\t0
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth2\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
`;
const ZERO = '0'.repeat(32);
const IPV6 = `${ZERO} 00 ${ZERO} 00 ${ZERO} ffffffff 00000001 00000000 00200200 lo
${ZERO} 00 ${ZERO} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth3
fe80${'0'.repeat(28)} 40 ${ZERO} 00 ${ZERO} 00000100 00000001 00000000 00000001 eth3
`;

function address(family: 'IPv4' | 'IPv6', text: string): NetworkInterfaceInfo {
  return { address: text, family, internal: false } as NetworkInterfaceInfo;
}

const FACTS: NetworkFacts = {
  ipv4Routes: IPV4,
  ipv6Routes: IPV6,
  interfaces: {
    eth0: [address('IPv6', 'fe80::1'), address('IPv4', '192.0.2.2')],
    eth3: [address('IPv6', 'fe80::2'), address('IPv6', '2001:db8::2')],
  },
};

test('the IPv4 default route with the lowest metric of those that are up counts', () => {
  assert.equal(ipv4DefaultDevice(IPV4), 'eth0');
  assert.equal(ipv4DefaultDevice(HEADER), undefined);
});

test('a reject route on lo is no IPv6 default route', () => {
  assert.equal(ipv6DefaultDevice(IPV6), 'eth3');
  assert.equal(ipv6DefaultDevice(''), undefined);
});

test('addressOfDefaultRoute() prefers IPv4 and never takes a link-local address', () => {
  assert.equal(addressOfDefaultRoute(FACTS), '192.0.2.2');
  assert.equal(addressOfDefaultRoute({ ...FACTS, ipv4Routes: HEADER }), '2001:db8::2');
});

test('addressOfDefaultRoute() says what to set when it cannot tell', () => {
  const remedy = 'Set host.address in agent.yaml.';
  assert.throws(() => addressOfDefaultRoute({ ...FACTS, ipv4Routes: HEADER, ipv6Routes: '' }), {
    code: 'HOST_ADDRESS_UNKNOWN',
    message: /no default route/,
    remedy,
  });
  assert.throws(() => addressOfDefaultRoute({ ...FACTS, ipv6Routes: '', interfaces: {} }), {
    code: 'HOST_ADDRESS_UNKNOWN',
    message: /eth0/,
    remedy,
  });
});

test('hostName() has no domain', () => {
  assert.match(hostName(), /^[^.]+$/);
});
