/**
 * Subscribers that take as little of the machine as they can: plain HTTP/2, one connection each, and of a response they
 * read nothing but its type, version and nonce. Like Envoy they ask for all clusters, and for endpoints by name.
 */
import { type ClientHttp2Stream, connect, constants } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { TYPE_URL } from '../src/xds/resource.ts';
import { clusterName, type SubscriberMessage, type XdsMode } from './xds-protocol.ts';

const [path = '', modeText = '', count = '', subscriberCount = ''] = process.argv.slice(2);
const mode = modeText as XdsMode;
const clusters = Number(count);
const subscribers = Number(subscriberCount);
const tell = (message: SubscriberMessage): void => void process.send?.(message);

const FIELD = {
  delta: { node: 1, type: 2, names: 3, nonce: 6 },
  sotw: { node: 2, type: 4, names: 3, nonce: 5 },
} as const;

/** gRPC's framing: not compressed, then the length. */
function frame(...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

const writer = new BinaryWriter();
for (let index = 0; index < clusters; index += 1)
  writer.tag(FIELD[mode].names, WireType.LengthDelimited).string(clusterName(index));
const allNames = writer.finish();
const node = (id: string): Uint8Array => new BinaryWriter().tag(1, WireType.LengthDelimited).string(id).finish();

function request(typeUrl: string, more: { nodeId?: string; nonce?: string; version?: string }): Uint8Array {
  const field = FIELD[mode];
  if (more.version !== undefined && mode === 'sotw') writer.tag(1, WireType.LengthDelimited).string(more.version);
  if (more.nodeId !== undefined) writer.tag(field.node, WireType.LengthDelimited).bytes(node(more.nodeId));
  writer.tag(field.type, WireType.LengthDelimited).string(typeUrl);
  if (more.nonce !== undefined) writer.tag(field.nonce, WireType.LengthDelimited).string(more.nonce);
  return writer.finish();
}

/** Type, version and nonce of a response. */
function envelope(bytes: Buffer): { readonly typeUrl: string; readonly version: string; readonly nonce: string } {
  const reader = new BinaryReader(bytes);
  const found = { typeUrl: '', version: '', nonce: '' };
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1) found.version = reader.string();
    else if (field === 4) found.typeUrl = reader.string();
    else if (field === 5) found.nonce = reader.string();
    else reader.skip(type, field);
  }
  return found;
}

let synced = 0;
let received: string[] = [];

function onResponse(stream: ClientHttp2Stream, bytes: Buffer, state: { synced: boolean }): void {
  const at = process.hrtime.bigint().toString();
  const { typeUrl, version, nonce } = envelope(bytes);
  const isEndpoints = typeUrl === TYPE_URL.endpoint;
  const repeated = mode === 'sotw' && isEndpoints ? allNames : new Uint8Array();
  stream.write(frame(repeated, request(typeUrl, { nonce, version })));
  if (!isEndpoints) {
    if (!state.synced) stream.write(frame(allNames, request(TYPE_URL.endpoint, {})));
    return;
  }
  if (!state.synced) {
    state.synced = true;
    synced += 1;
    if (synced === subscribers) tell({ kind: 'synced' });
    return;
  }
  received.push(at);
  if (received.length === subscribers) {
    tell({ kind: 'received', at: received });
    received = [];
  }
}

function subscribe(index: number): void {
  const session = connect('http://localhost', {
    createConnection: () => connectSocket(path),
    settings: { initialWindowSize: 16 * 1024 * 1024, enablePush: false },
  });
  session.on('connect', () => session.setLocalWindowSize(16 * 1024 * 1024));
  const method = mode === 'delta' ? 'DeltaAggregatedResources' : 'StreamAggregatedResources';
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: `/envoy.service.discovery.v3.AggregatedDiscoveryService/${method}`,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    [constants.HTTP2_HEADER_TE]: 'trailers',
  });
  const state = { synced: false };
  let rest: Buffer[] = [];
  let have = 0;
  let need = 5;
  stream.on('data', (chunk: Buffer) => {
    rest.push(chunk);
    have += chunk.length;
    while (have >= need) {
      const all = rest.length === 1 ? (rest[0] ?? chunk) : Buffer.concat(rest);
      const size = 5 + all.readUInt32BE(1);
      if (all.length < size) {
        rest = [all];
        need = size;
        return;
      }
      onResponse(stream, all.subarray(5, size), state);
      rest = [all.subarray(size)];
      have = all.length - size;
      need = 5;
    }
  });
  stream.on('close', () => {
    throw new Error(`subscriber ${index}: the server ended the stream`);
  });
  stream.write(frame(request(TYPE_URL.cluster, { nodeId: `subscriber-${index}` })));
}

process.on('disconnect', () => process.exit());
for (let index = 0; index < subscribers; index += 1) subscribe(index);
