/** Decodes what clients send. By hand over the wire format: a request may carry ten thousand names, and its node is read once. */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** Who a client says it is: `envoy.config.core.v3.Node`. */
export interface ClientNode {
  readonly id: string;
  readonly cluster: string;
  readonly userAgent: string;
  readonly features: readonly string[];
  /** The message as it came, without its list of extensions (tens of kilobytes that nothing here needs). */
  readonly bytes: Uint8Array;
}

interface AnyRequest {
  readonly node: Uint8Array | undefined;
  readonly typeUrl: string;
  readonly nonce: string;
  /** The client's words when it refuses the response with this nonce; undefined otherwise. */
  readonly error: string | undefined;
}

/** A `DiscoveryRequest` (state of the world). */
export interface SotwRequest extends AnyRequest {
  readonly version: string;
  /** Undefined: the same bytes as `previousNames`, so the same names. */
  readonly names: readonly string[] | undefined;
  /** The encoded names, for comparison with the next request. */
  readonly rawNames: Uint8Array;
}

/** A `DeltaDiscoveryRequest`. */
export interface DeltaRequest extends AnyRequest {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Name → version of what the client holds from an earlier stream. */
  readonly initialVersions: ReadonlyMap<string, string>;
}

/** The first two string fields of a small message (`ResourceLocator`, `Status`, map entries), by field number. */
function stringFields(bytes: Uint8Array): readonly (string | undefined)[] {
  const reader = new BinaryReader(bytes);
  const found: (string | undefined)[] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field <= 2 && type === WireType.LengthDelimited) found[field] = reader.string();
    else reader.skip(type, field);
  }
  return found;
}

/** google.rpc.Status: an error is an error also when it says nothing. */
function errorText(bytes: Uint8Array): string {
  return stringFields(bytes)[2] ?? '';
}

const EMPTY = new Uint8Array();
const NAMES_TAG = (3 << 3) | WireType.LengthDelimited;

/**
 * @param previousNames the `rawNames` of the client's last request of any type on this stream: an acknowledgement repeats
 * all names, and comparing them costs a hundredth of decoding them
 * @throws on bytes that are not such a message
 */
export function decodeSotwRequest(
  bytes: Buffer,
  previousNames: (typeUrl: string) => Uint8Array = () => EMPTY,
): SotwRequest {
  const reader = new BinaryReader(bytes);
  let version = '';
  let node: Uint8Array | undefined;
  let typeUrl = '';
  let nonce = '';
  let error: string | undefined;
  let namesStart = 0;
  let namesEnd = 0;
  const located: string[] = [];
  // The type comes after the names on the wire, so the names are only skipped here.
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, type] = reader.tag();
    if (type !== WireType.LengthDelimited) {
      reader.skip(type, field);
      continue;
    }
    switch (field) {
      case 1:
        version = reader.string();
        break;
      case 2:
        node = reader.bytes();
        break;
      case 3:
        if (namesEnd === 0) namesStart = start;
        reader.pos = start;
        skipNames(bytes, reader);
        namesEnd = reader.pos;
        break;
      case 4:
        typeUrl = reader.string();
        break;
      case 5:
        nonce = reader.string();
        break;
      case 6:
        error = errorText(reader.bytes());
        break;
      case 7: {
        const name = stringFields(reader.bytes())[1];
        if (name !== undefined) located.push(name);
        break;
      }
      default:
        reader.skip(type, field);
    }
  }
  const rawNames = bytes.subarray(namesStart, namesEnd);
  const same = rawNames.length > 0 && located.length === 0 && rawNames.equals(previousNames(typeUrl));
  return {
    version,
    node,
    typeUrl,
    nonce,
    error,
    names: same ? undefined : [...decodeNames(rawNames), ...located],
    rawNames,
  };
}

/** Moves the reader over a run of `resource_names`. */
function skipNames(bytes: Buffer, reader: BinaryReader): void {
  let at = reader.pos;
  while (bytes[at] === NAMES_TAG) {
    const length = bytes[at + 1] ?? 0;
    if (length < 0x80) {
      at += 2 + length;
    } else {
      reader.pos = at + 1;
      at = reader.uint32() + reader.pos;
    }
  }
  if (at > reader.len) throw new RangeError('premature EOF');
  reader.pos = at;
}

function decodeNames(bytes: Uint8Array): readonly string[] {
  const reader = new BinaryReader(bytes);
  const names: string[] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 3 && type === WireType.LengthDelimited) names.push(reader.string());
    else reader.skip(type, field);
  }
  return names;
}

/** @throws on bytes that are not such a message */
export function decodeDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const reader = new BinaryReader(bytes);
  const subscribe: string[] = [];
  const unsubscribe: string[] = [];
  const initialVersions = new Map<string, string>();
  let node: Uint8Array | undefined;
  let typeUrl = '';
  let nonce = '';
  let error: string | undefined;
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type !== WireType.LengthDelimited) {
      reader.skip(type, field);
      continue;
    }
    switch (field) {
      case 1:
        node = reader.bytes();
        break;
      case 2:
        typeUrl = reader.string();
        break;
      case 3:
        subscribe.push(reader.string());
        break;
      case 4:
        unsubscribe.push(reader.string());
        break;
      case 5: {
        const [, name = '', version = ''] = stringFields(reader.bytes());
        initialVersions.set(name, version);
        break;
      }
      case 6:
        nonce = reader.string();
        break;
      case 7:
        error = errorText(reader.bytes());
        break;
      case 8:
      case 9: {
        const name = stringFields(reader.bytes())[1];
        if (name !== undefined) (field === 8 ? subscribe : unsubscribe).push(name);
        break;
      }
      default:
        reader.skip(type, field);
    }
  }
  return { node, typeUrl, nonce, error, subscribe, unsubscribe, initialVersions };
}

/** @throws on bytes that are not a Node */
export function decodeNode(bytes: Uint8Array): ClientNode {
  const reader = new BinaryReader(bytes);
  const kept: Uint8Array[] = [];
  const features: string[] = [];
  let id = '';
  let cluster = '';
  let userAgent = '';
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited && (field === 1 || field === 2 || field === 6 || field === 10)) {
      const text = reader.string();
      if (field === 1) id = text;
      else if (field === 2) cluster = text;
      else if (field === 6) userAgent = text;
      else features.push(text);
    } else {
      reader.skip(type, field);
    }
    if (field !== 9) kept.push(bytes.subarray(start, reader.pos));
  }
  return { id, cluster, userAgent, features, bytes: Buffer.concat(kept) };
}
