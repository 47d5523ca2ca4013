import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { NodeSchema } from '../gen/envoy/config/core/v3/base_pb.ts';
import { DeltaDiscoveryRequestSchema, DiscoveryRequestSchema } from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { decodeDeltaRequest, decodeNode, decodeSotwRequest } from './request.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const text = fc.string({ unit: 'grapheme', maxLength: 200 });
const names = fc.array(
  text.filter((name) => name !== ''),
  { maxLength: 20 },
);
const error = fc.option(text, { nil: undefined });

test('requests are read as the protobuf library writes them', () => {
  fc.assert(
    fc.property(text, text, text, names, names, error, (version, typeUrl, nonce, one, two, message) => {
      const errorDetail = message === undefined ? {} : { errorDetail: { code: 3, message } };
      const located = two.map((name) => ({ name, dynamicParameters: { shard: '1' } }));
      const common = { typeUrl, responseNonce: nonce, ...errorDetail, node: { id: 'n' } };
      const sotw = create(DiscoveryRequestSchema, {
        ...common,
        versionInfo: version,
        resourceNames: one,
        resourceLocators: located,
      });
      const read = decodeSotwRequest(Buffer.from(toBinary(DiscoveryRequestSchema, sotw)));
      assert.deepEqual(
        [read.version, read.typeUrl, read.nonce, read.error, read.names],
        [version, typeUrl, nonce, message, [...one, ...two]],
      );
      const again = decodeSotwRequest(Buffer.from(toBinary(DiscoveryRequestSchema, sotw)), () => read.rawNames);
      assert.deepEqual(again.names, one.length > 0 && two.length === 0 ? undefined : [...one, ...two]);

      const initialResourceVersions = Object.fromEntries(one.map((name) => [name, version]));
      const delta = create(DeltaDiscoveryRequestSchema, {
        ...common,
        resourceNamesSubscribe: one,
        resourceNamesUnsubscribe: two,
        resourceLocatorsUnsubscribe: located,
        initialResourceVersions,
      });
      const { subscribe, unsubscribe, initialVersions, ...rest } = decodeDeltaRequest(
        toBinary(DeltaDiscoveryRequestSchema, delta),
      );
      assert.deepEqual([rest.typeUrl, rest.nonce, rest.error], [typeUrl, nonce, message]);
      assert.deepEqual([subscribe, unsubscribe], [one, [...two, ...two]]);
      assert.deepEqual(initialVersions, new Map(Object.entries(initialResourceVersions)));
    }),
  );
});

test('bytes of any kind are read or refused, and never hang', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const decode of [decodeDeltaRequest, decodeNode, (b: Uint8Array) => decodeSotwRequest(Buffer.from(b))]) {
        try {
          decode(bytes);
        } catch (thrown) {
          assert.ok(thrown instanceof Error);
        }
      }
    }),
  );
});

test('a node is kept without its list of extensions', () => {
  const node = create(NodeSchema, {
    id: 'n',
    cluster: 'c',
    userAgentName: 'envoy',
    clientFeatures: ['x', 'y'],
    extensions: Array.from({ length: 100 }, (_, i) => ({ name: `extension-${i}`, category: 'filter' })),
  });
  const read = decodeNode(toBinary(NodeSchema, node));
  assert.deepEqual([read.id, read.cluster, read.userAgent, read.features], ['n', 'c', 'envoy', ['x', 'y']]);
  assert.ok(read.bytes.length < 40);
});
