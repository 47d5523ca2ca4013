import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ClusterLoadAssignmentSchema } from '../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import type { Endpoint } from '../../src/model/service.ts';
import { encodeLoadAssignment } from '../../src/translate/clusters/load-assignment.ts';
import { endpoint, SERVICE_PORT } from './mesh-literals.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const SPEC = { cluster: 'c', servicePort: SERVICE_PORT, marksTls: true, spread: undefined };

const endpoints: fc.Arbitrary<Endpoint[]> = fc.array(
  fc
    .record({
      address: fc.ipV4(),
      port: fc.integer({ min: 1, max: 65_535 }),
      weight: fc.integer({ min: 1, max: 65_535 }),
      health: fc.constantFrom('HEALTHY', 'UNHEALTHY', 'DRAINING'),
      offersMtls: fc.boolean(),
      zone: fc.constantFrom('', 'a', 'b'),
    })
    .map(({ address, port, zone, ...rest }) =>
      endpoint(address, port, { ...rest, locality: { region: zone === '' ? '' : 'eu', zone, subzone: '' } }),
    ),
  { maxLength: 20 },
);

test('what is written by hand is what the schema reads', () => {
  fc.assert(
    fc.property(endpoints, (all) => {
      const message = fromBinary(ClusterLoadAssignmentSchema, encodeLoadAssignment(SPEC, all));
      assert.equal(message.clusterName, 'c');
      assert.equal(message.$unknown, undefined);
      const read = message.endpoints.flatMap(({ locality, lbEndpoints }) =>
        lbEndpoints.map((item) => {
          assert.equal(item.hostIdentifier.case, 'endpoint');
          const socket = item.hostIdentifier.value?.address?.address;
          assert.equal(socket?.case, 'socketAddress');
          return JSON.stringify([
            socket.value.address,
            socket.value.portSpecifier.value,
            item.loadBalancingWeight ?? 1,
            ['UNKNOWN', 'HEALTHY', 'UNHEALTHY', 'DRAINING'][item.healthStatus],
            item.metadata?.filterMetadata['envoy.transport_socket_match']?.['tlsMode'] === 'istio',
            locality?.zone,
          ]);
        }),
      );
      const written = all.map((e) =>
        JSON.stringify([e.address, e.ports[SERVICE_PORT], e.weight, e.health, e.offersMtls, e.locality.zone]),
      );
      assert.deepEqual(read.toSorted(), written.toSorted());
    }),
  );
});

test('the bytes are those of the general encoder', () => {
  fc.assert(
    fc.property(endpoints, (all) => {
      const bytes = encodeLoadAssignment(SPEC, all);
      const again = toBinary(ClusterLoadAssignmentSchema, fromBinary(ClusterLoadAssignmentSchema, bytes));
      assert.equal(Buffer.from(again).toString('hex'), Buffer.from(bytes).toString('hex'));
    }),
  );
});

test('endpoints without the port are left out, no locality group is empty', () => {
  const all = [endpoint('10.0.0.1', 1, { ports: { 1: 1 } }), endpoint('10.0.0.2', 2)];
  const message = fromBinary(ClusterLoadAssignmentSchema, encodeLoadAssignment(SPEC, all));
  assert.equal(message.endpoints.length, 1);
  assert.equal(message.endpoints[0]?.lbEndpoints.length, 1);
  assert.equal(fromBinary(ClusterLoadAssignmentSchema, encodeLoadAssignment(SPEC, [])).endpoints.length, 0);
});
